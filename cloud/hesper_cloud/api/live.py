"""The WebSocket of what happens now.

A client that says nothing gets the console's frames, one a second. The first message that a client
sends opens its rooms (`live_rooms`), and from then on it gets what happens in them instead.
Messages are read no faster than one client may make requests: whoever sends more fills its own
connection, not the access log.
"""

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.api.limits import Limits
from hesper_cloud.api.live_rooms import LONGEST, Rooms
from hesper_cloud.api.who import actor_of, services_of, while_session_lasts
from hesper_cloud.services.errors import ServiceError

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
    await socket.accept()
    try:
        await while_session_lasts(socket, _serve(socket, actor))
    except* ServiceError as refusals:
        await _close(socket, refusals.exceptions[0])
    except* WebSocketDisconnect:
        pass


async def _serve(socket: WebSocket, actor: Actor) -> None:
    async with asyncio.TaskGroup() as group:
        frames = group.create_task(_send_frames(socket, actor), name="frames")
        first = await _receive(socket)
        frames.cancel()
        rooms = Rooms(socket, actor)
        pace = Limits(services_of(socket).sources.settings.web.limits)
        group.create_task(rooms.tell(), name="rooms")
        try:
            await rooms.take(first)
            while True:
                if wait_s := pace.take(""):
                    await asyncio.sleep(wait_s)
                    pace.take("")
                await rooms.take(await _receive(socket))
        finally:
            rooms.close()


async def _send_frames(socket: WebSocket, actor: Actor) -> None:
    if not actor.may(Permission.READ):
        return  # it may still bring readings
    async for frame in services_of(socket).live.subscribe(actor):
        await socket.send_text(frame.decode("utf-8"))


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
