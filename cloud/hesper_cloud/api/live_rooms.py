"""The rooms of the live connection, as one client of the WebSocket is in them.

Theory of operation. Messages are JSON objects, each with its ``type``; `docs/asyncapi.yaml` lists
them. Two tasks serve a connection: one takes what the client says, the other sends what its mailbox
holds. Sending waits for the client, the mailbox conflates meanwhile (`hesper_cloud.live.hub`). At
least once a second it is looked up whether the client's session or token still stands.
"""

import asyncio
from typing import Any

import orjson
from fastapi import WebSocket
from hesper_contracts.batch import MAX_PAYLOAD
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.api.problems import status_of
from hesper_cloud.api.who import actor_of, services_of
from hesper_cloud.api.wire import encode
from hesper_cloud.live.hub import Happening, Mailbox, TooManyRooms
from hesper_cloud.live.places import MOST_NAME, Room, RoomKind
from hesper_cloud.services import scope
from hesper_cloud.services.bundle import Services
from hesper_cloud.services.errors import Invalid, NotFound, ServiceError
from hesper_cloud.services.looking import looked_at, looked_at_all
from hesper_cloud.services.sources import require
from hesper_cloud.worded import told_by, worded

LONGEST = MAX_PAYLOAD + 4096
HEARTBEAT_S = 15.0
_CHECK_S = 1.0
_KINDS = (
    "a message's type is join-room, leave-room or meter-update; before the first of them follow,"
    " with events (true or false) and at most 20 meters"
)


class RoomWish(BaseModel):
    """What ``join-room`` and ``leave-room`` say."""

    model_config = ConfigDict(extra="forbid")

    type: str
    room: RoomKind
    name: str = Field(default="", max_length=MOST_NAME, pattern=r"^[^\x00]*$")

    def chosen(self) -> Room:
        """Returns the room.

        Raises:
            Invalid: the fleet has no name, every other room has one.
        """
        if (self.room == "fleet") == bool(self.name):
            raise Invalid("a room of a meter, gateway or area has a name; the fleet has none")
        return Room(self.room, self.name)


class Rooms:
    """One client, from its first message to its last."""

    def __init__(self, socket: WebSocket, actor: Actor) -> None:
        self._socket = socket
        self._services: Services = services_of(socket)
        self._hub = self._services.sources.live
        self._mailbox = Mailbox(actor.areas)
        self._sending = asyncio.Lock()

    async def take(self, text: str | bytes) -> None:
        """Does what a message says; what is wrong with it goes back as a ``problem``.

        Raises:
            NotAuthenticated, NotPermitted: the session ended, so the connection does.
        """
        actor = await actor_of(self._socket)
        try:
            await self._do(actor, text)
        except ServiceError as refusal:
            body = {"type": "problem", "status": status_of(refusal), "detail": str(refusal)}
            await self._say(body)

    async def _do(self, actor: Actor, text: str | bytes) -> None:
        said = _object(text)
        match said.get("type"):
            case "join-room":
                await self._join(actor, _wish(said))
            case "leave-room":
                room = _wish(said)
                self._hub.leave(self._mailbox, [room])
                await self._say({"type": "left", "room": room.kind, "name": room.name})
            case "meter-update":
                batch = orjson.dumps(said.get("batch"))
                receipt = await self._services.data_ingestion.bring(actor, batch)
                await self._say({"type": "receipt", **_fields(receipt)})
            case _:
                raise Invalid(_KINDS)

    async def _join(self, actor: Actor, room: Room) -> None:
        require(actor, Permission.READ)
        await self._check_sees(actor, room)
        sources = self._services.sources
        if room.kind == "meter":
            looked_at(sources, actor, "live", room.name)
        else:
            looked_at_all(sources, actor, "live")
        try:
            self._hub.join(self._mailbox, room)
        except TooManyRooms as full:
            raise Invalid(told_by(full)) from None
        await self._services.live_feed.following()
        await self._say({"type": "joined", "room": room.kind, "name": room.name})

    async def _check_sees(self, actor: Actor, room: Room) -> None:
        registry = self._services.sources.registry
        if room.kind == "meter":
            await scope.check_meter(registry, actor, room.name)
        elif room.kind == "area" and not actor.sees(room.name):
            raise NotFound(worded("there is no area {room}", room=room.name))
        elif room.kind == "gateway":
            seen = await asyncio.to_thread(scope.gateways_of, registry, actor)
            if seen is not None and room.name not in seen:
                raise NotFound(worded("there is no gateway {room}", room=room.name))

    async def tell(self) -> None:
        """Sends what happens in the rooms until the session ends.

        Raises:
            NotAuthenticated, NotPermitted: it has.
        """
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        while True:
            try:
                found, missed = await asyncio.wait_for(self._mailbox.fetch(), _CHECK_S)
            except TimeoutError:
                found, missed = [], 0
            actor = await actor_of(self._socket)
            self._mailbox.areas = actor.areas
            if missed:
                await self._say({"type": "missed", "count": missed})
            for each in found:
                await self._say(_message(each))
            if found:
                heard_at = loop.time()
            elif loop.time() - heard_at >= HEARTBEAT_S:
                heard_at = loop.time()
                await self._say({"type": "heartbeat", "at": self._services.server_time()})

    def close(self) -> None:
        """Leaves every room."""
        self._hub.leave(self._mailbox, self._mailbox.rooms)

    async def _say(self, message: dict[str, Any]) -> None:
        async with self._sending:
            await self._socket.send_text(encode(message).decode("utf-8"))


def _message(each: Happening) -> dict[str, Any]:
    place = {"meter": each.place.meter, "gateway": each.place.gateway, "area": each.place.area}
    return {**place, **each.document, "type": each.kind}


def _object(text: str | bytes) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise Invalid(worded("a message has at most {longest} octets", longest=LONGEST))
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid("a message is a JSON object") from None
    if not isinstance(said, dict):
        raise Invalid("a message is a JSON object")
    return said


def _wish(said: dict[str, Any]) -> Room:
    try:
        return RoomWish.model_validate(said).chosen()
    except ValidationError as error:
        raise Invalid("; ".join(each["msg"] for each in error.errors())) from None


def _fields(receipt: Any) -> dict[str, Any]:
    return {name: getattr(receipt, name) for name in receipt.__slots__}
