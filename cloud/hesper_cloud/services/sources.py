"""Where the services read from; made once by the bootstrap and shared by all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from hesper_cloud.access_log import Looks
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.latest import LatestValues
from hesper_cloud.live.hub import Hub
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.services.errors import NotPermitted
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import EARLIEST, LATEST, ReadingStore
from hesper_cloud.worded import worded


@dataclass(frozen=True, slots=True)
class Sources:
    """Databases, store, latest values and clock; ``authority`` is open read-only.

    ``live`` tells those who listen: `Hub.publish` may be called from any thread. ``looks`` are
    those at interval data; whoever shows some notes it first (`services.looking`). ``traces`` tells
    of commands that are asked for. ``captures`` knows what is stored of the recent days, where
    nobody else stores anything.
    """

    settings: Settings
    registry: Engine
    authority: Engine
    store: ReadingStore
    latest: LatestValues
    clock: Callable[[], datetime]
    live: Hub = field(default_factory=Hub)
    looks: Looks = field(default_factory=Looks)
    traces: CommandTraces = field(default_factory=lambda: CommandTraces(None))
    captures: Captures | None = None


def require(actor: Actor, permission: Permission) -> None:
    """Checks that the actor may.

    Raises:
        NotPermitted: the role does not hold the permission.
    """
    if not actor.may(permission):
        raise NotPermitted(
            worded(
                "the role {role} may not {permission}", role=actor.role, permission=permission.value
            )
        )


def instant(epoch_s: int) -> datetime:
    """Returns epoch seconds as an aware UTC time."""
    return datetime.fromtimestamp(epoch_s, UTC)


def epoch(at: datetime) -> int:
    """Returns an aware time as whole epoch seconds, the nearest for which there can be readings.

    Beyond them lie the ends of the calendar, which have no name in UTC: nobody's question may hold
    up the log of looks, which writes its range down.
    """
    return min(max(int(at.timestamp()), EARLIEST), LATEST + 1)
