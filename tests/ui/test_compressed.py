"""Files that never change are compressed for the first browser that asks, and then kept."""

import gzip
from typing import Any

import httpx
import pytest
from hesper_ui import compressed
from hesper_ui.compressed import Compressed
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

BODY = b"let hesper = true;\n" * 100


class Files:
    """An application that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        routes = [Route("/files/{name}", self._file), Route("/page", self._file)]
        self.app = Starlette(routes=routes)

    async def _file(self, request: Any) -> Response:
        self.asked.append(request.url.path)
        if request.path_params.get("name") == "none":
            return Response("none such" * 200, 404)
        return Response(BODY, media_type="text/javascript", headers={"ETag": '"1"'})


@pytest.fixture
def files() -> Files:
    return Files()


def client_of(files: Files) -> httpx.AsyncClient:
    app = Compressed(files.app, ("/files/",))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_a_file_is_compressed_once(files):
    async with client_of(files) as client:
        first, second = [await client.get("/files/a.js") for _ in range(2)]
    assert first.content == second.content == BODY
    assert first.headers == second.headers
    assert second.headers["content-encoding"] == "gzip"
    assert int(second.headers["content-length"]) < len(gzip.compress(BODY)) + 50
    assert files.asked == ["/files/a.js"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/page", {}),
        ("/files/none", {}),
        ("/files/a.js?x=1", {}),
        ("/files/a.js", {"accept-encoding": "identity"}),
        ("/files/a.js", {"range": "bytes=0-9"}),
        ("/files/a.js", {"if-none-match": '"1"'}),
    ],
)
async def test_everything_else_is_asked_for_each_time(files, path, headers):
    async with client_of(files) as client:
        answers = [await client.get(path, headers=headers) for _ in range(2)]
    assert len(files.asked) == 2
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize("part", [b"", BODY[:900]])
async def test_an_answer_that_was_cut_short_is_not_kept(files, part):
    async def cut(scope: Any, receive: Any, send: Any) -> None:
        """Answers as what stands in front does when the reader left: less than said, and ended."""
        files.asked.append(scope["path"])
        body = part if len(files.asked) == 1 else BODY
        headers = [(b"content-type", b"text/javascript"), (b"content-length", b"%d" % len(BODY))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    files.app = cut
    async with client_of(files) as client:
        answers = [await client.get("/files/a.js") for _ in range(3)]
    assert [answer.content for answer in answers[1:]] == [BODY, BODY]
    assert len(files.asked) == 2


async def test_no_more_is_kept_than_may_be(files, monkeypatch):
    monkeypatch.setattr(compressed, "MOST_OCTETS", 10)
    async with client_of(files) as client:
        for _ in range(2):
            await client.get("/files/a.js")
    assert len(files.asked) == 2
