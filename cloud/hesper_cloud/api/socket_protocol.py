"""WebSockets for the web server: what goes to everybody alike is not compressed for each of them.

A frame of the live connection is one text for hundreds of pages. To compress it anew for each costs
more than everything else that is done for it, and a page's share is small.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from hesper_cloud.api.description import PREFIX

_LIVE = f"{PREFIX}/live"


class SocketProtocol(WebSocketsSansIOProtocol):
    """A connection that agrees on compression, unless it is the live one."""

    def handle_connect(self, event: Request) -> None:
        """Answers the request to open one."""
        if event.path.partition("?")[0] == _LIVE:
            self.conn.available_extensions = None
        super().handle_connect(event)
