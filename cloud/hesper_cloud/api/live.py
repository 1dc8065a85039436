"""The WebSocket of what happens now.

A client that says nothing gets the console's frames, one a second. ``follow`` says what a page
shows: the values of which meters, and whether new events, which come as soon as they are committed.
The first message of another kind opens rooms (`live_rooms`), and from then on the client gets what
happens in them instead.
Messages are read no faster than one client may make requests: whoever sends more fills its own
connection, not the access log. An account has so many connections open and no more.
"""

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.api.limits import Limits, Sockets, TooManySockets
from hesper_cloud.api.live_rooms import LONGEST, Rooms
from hesper_cloud.api.live_wishes import follow_wish
from hesper_cloud.api.problems import problem
from hesper_cloud.api.socket_protocol import send_to
from hesper_cloud.api.who import actor_of, services_of, while_session_lasts
from hesper_cloud.services.errors import ServiceError
from hesper_cloud.services.live import Showing

__all__ = ["LONGEST", "router"]
router = APIRouter()
_LONGEST_REASON = 120  # octets of a close frame are few (RFC 6455, 5.5)


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Serves until the page goes or its session ends; who asks is checked all the while."""
    try:
        actor = await actor_of(socket)
    except ServiceError as refusal:
        await _close(socket, refusal)
        return
    sockets: Sockets = socket.app.state.sockets
    try:
        with sockets.one_more(actor.username):
            await _admitted(socket, actor)
    except TooManySockets as full:
        await socket.send_denial_response(problem(429, str(full)))


async def _admitted(socket: WebSocket, actor: Actor) -> None:
    await socket.accept()
    try:
        await while_session_lasts(socket, _serve(socket, actor))
    except* ServiceError as refusals:
        await _close(socket, refusals.exceptions[0])
    except* WebSocketDisconnect:
        pass


async def _serve(socket: WebSocket, actor: Actor) -> None:
    heard = _Heard(socket)
    async with asyncio.TaskGroup() as group:
        first = await _page(socket, actor, heard, group)
        rooms = Rooms(socket, actor)
        group.create_task(rooms.tell(), name="rooms")
        try:
            await rooms.take(first)
            while True:
                await rooms.take(await heard.next())
        finally:
            rooms.close()


class _Heard:
    """What a client says, no faster than it may ask."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._pace = Limits(services_of(socket).sources.settings.web.limits)
        self._is_first = True

    async def next(self) -> str | bytes:
        """Returns the next message.

        Raises:
            WebSocketDisconnect: there is none any more.
        """
        if not self._is_first and (wait_s := self._pace.take("")):
            await asyncio.sleep(wait_s)
            self._pace.take("")
        self._is_first = False
        return await _receive(self._socket)


async def _page(
    socket: WebSocket, actor: Actor, heard: _Heard, group: asyncio.TaskGroup
) -> str | bytes:
    """Serves frames, and events while they are wished for; returns the first other message."""
    showing = Showing()
    frames = group.create_task(_send_frames(socket, actor, showing), name="frames")
    events: asyncio.Task[None] | None = None
    while (wish := follow_wish(message := await heard.next())) is not None:
        showing.meters = frozenset(wish.meters)
        if wish.events and events is None:
            events = group.create_task(_send_events(socket, actor), name="events")
        elif events is not None and not wish.events:
            events.cancel()
            events = None
    frames.cancel()
    if events is not None:
        events.cancel()
    return message


async def _send_events(socket: WebSocket, actor: Actor) -> None:
    async with contextlib.aclosing(services_of(socket).event_stream.follow(actor)) as frames:
        async for frame in frames:
            await send_to(socket, frame)


async def _send_frames(socket: WebSocket, actor: Actor, showing: Showing) -> None:
    if not actor.may(Permission.READ):
        return  # it may still bring readings
    async with contextlib.aclosing(services_of(socket).live.subscribe(actor, showing)) as frames:
        async for frame in frames:
            await send_to(socket, frame)


async def _receive(socket: WebSocket) -> str | bytes:
    """Returns the next message of the client.

    Raises:
        WebSocketDisconnect: there is none any more.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", status.WS_1005_NO_STATUS_RCVD))
    said: str | bytes = message.get("text") or message.get("bytes") or b""
    return said


async def _close(socket: WebSocket, refusal: BaseException) -> None:
    reason = str(refusal)[:_LONGEST_REASON]
    with contextlib.suppress(RuntimeError):  # it went in the meantime
        await socket.close(status.WS_1008_POLICY_VIOLATION, reason)
