"""WebSockets for the web server: what goes to everybody alike is made once, not for each of them.

A frame of the live connection is one text for hundreds of pages. To compress it anew for each costs
more than everything else that is done for it, and a page's share is small. Not compressed, it is
the same octets on every connection (RFC 6455, 5.2: a server masks nothing), so it is framed once
and written as it is, past what ASGI and its middleware do with a message.
"""

from functools import lru_cache

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from hesper_cloud.api.description import PREFIX

_LIVE = f"{PREFIX}/live"
_FRAMES_KEPT = 8  # those that are on their way to everybody now
_GONE = 1006
_WHOLE = "hesper.whole"
"""Extension of the scope: the connection itself, which sends whole messages."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """A connection that agrees on compression, unless it is the live one."""

    def handle_connect(self, event: Request) -> None:
        """Answers the request to open one."""
        is_live = event.path.partition("?")[0] == _LIVE
        if is_live:
            self.conn.available_extensions = None
        super().handle_connect(event)
        if is_live and not self.close_sent:
            self.scope["extensions"][_WHOLE] = {"connection": self}

    async def send_whole(self, text: bytes) -> None:
        """Sends a text message, once the client has taken what was sent before.

        Raises:
            WebSocketDisconnect: it is gone, or going.
        """
        await self.writable.wait()
        if self.disconnected or self.conn.state is not State.OPEN:
            raise WebSocketDisconnect(_GONE)
        self.transport.write(_framed(text))


@lru_cache(maxsize=_FRAMES_KEPT)
def _framed(text: bytes) -> bytes:
    return Frame(Opcode.TEXT, text).serialize(mask=False)


async def send_to(socket: WebSocket, text: bytes) -> None:
    """Sends what many are sent; by a server that knows no short cut, as any message.

    Raises:
        WebSocketDisconnect: the client is gone.
    """
    whole = socket.scope.get("extensions", {}).get(_WHOLE)
    if whole is None:
        await socket.send_text(text.decode("utf-8"))
    else:
        await whole["connection"].send_whole(text)
