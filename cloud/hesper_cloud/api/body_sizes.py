"""How large a body may be, also of one that comes in chunks and names no length."""

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hesper_cloud.api.problems import problem
from hesper_cloud.web_settings import LimitSettings

_UPLOADS = (
    "/api/v1/firmware/images/",
    "/console/images/",
    "/console/imports/",
    "/_nicegui/",
)
_IMPORT = "/import"
TOO_LARGE = Counter("hesper_http_too_large_total", "Bodies that were larger than is taken.")


class BodySizes:
    """ASGI middleware: reads no more of a body than its address may bring, and answers 413."""

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, its body measured as it is read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._most(scope["path"])
        if _length(scope) > most:
            await _refuse(most, scope, receive, send)
            return
        has_begun, measured = False, _Measured(receive, most)

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, measured, noting)
        except HTTPException:
            if has_begun or not measured.is_over:
                raise
            await _refuse(most, scope, receive, send)

    def _most(self, path: str) -> int:
        is_upload = path.startswith(_UPLOADS) or path.endswith(_IMPORT)
        return self._limits.upload_octets if is_upload else self._limits.body_octets


class _Measured:
    """A request's messages, until there is more of a body than is taken."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0
        self.is_over = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._most:
                self.is_over = True
                TOO_LARGE.inc()
                raise HTTPException(413, _words(self._most))
        return message


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


def _words(most: int) -> str:
    return f"the body is larger than the {most} octets that are taken here; send it in parts"


async def _refuse(most: int, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Connection": "close"}
    if _length(scope) > most:
        TOO_LARGE.inc()
    await problem(413, _words(most), headers)(scope, receive, send)
