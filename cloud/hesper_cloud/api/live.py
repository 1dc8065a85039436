"""The WebSocket of live frames."""

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.api.who import actor_of, services_of
from hesper_cloud.services.errors import ServiceError

router = APIRouter()


@router.websocket("/live")
async def live(socket: WebSocket) -> None:
    """Sends frames until the page goes or its session ends; who asks is checked at each frame."""
    try:
        actor = await actor_of(socket)
    except ServiceError as refusal:
        await socket.close(status.WS_1008_POLICY_VIOLATION, str(refusal)[:120])
        return
    await socket.accept()
    try:
        await _send_frames(socket, actor)
    except ServiceError as refusal:
        await socket.close(status.WS_1008_POLICY_VIOLATION, str(refusal)[:120])
    except WebSocketDisconnect:
        return


async def _send_frames(socket: WebSocket, actor: Actor) -> None:
    async for frame in services_of(socket).live.subscribe(actor):
        await actor_of(socket)
        await socket.send_text(frame.decode("utf-8"))
