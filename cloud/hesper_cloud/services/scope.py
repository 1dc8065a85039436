"""What an actor of some areas sees: meters there, gateways with a meter there, and what is of them.

An actor without areas (None) sees everything, and nothing here costs anything then. Whoever lists
rows narrows the query (`narrowed`); whoever is given a meter's name asks `require_meter` before
anything else, and the answer for a meter elsewhere is the one for a meter that does not exist. What
cannot be divided by area (the audit log, dead letters, figures of the whole fleet) asks
`require_everywhere`.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Engine, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.batches import BatchRow
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.services.errors import NotFound, NotPermitted
from hesper_cloud.worded import worded


class _OfMeter(Protocol):
    @property
    def meter(self) -> str: ...


R = TypeVar("R", bound=_OfMeter)
S = TypeVar("S", bound=Select[*tuple[Any, ...]])
_PAGE = 500
_Column = InstrumentedAttribute[Any]


def narrowed(
    query: S, actor: Actor, meter: _Column = Meter.id, gateway: _Column | None = None
) -> S:
    """Returns a query of the registry for those of its rows that the actor may see.

    Args:
        query: Any select over tables of ``hesper.db``.
        actor: Who asks.
        meter: The column that names the row's meter; by default the query is over meters.
        gateway: The column of its gateway, which counts where a row names no meter.
    """
    seen = clause(actor, meter, gateway)
    return query if seen is None else query.where(seen)


def clause(
    actor: Actor, meter: _Column = Meter.id, gateway: _Column | None = None
) -> ColumnElement[bool] | None:
    """Returns what `narrowed` adds, None where the actor sees everything."""
    if actor.areas is None:
        return None
    if meter is Meter.id:
        return Meter.area.in_(actor.areas)
    own = meter.in_(select(Meter.id).where(Meter.area.in_(actor.areas)))
    if gateway is None:
        return own
    return or_(own, and_(meter.is_(None), *gateway_terms(actor, gateway)))


def terms(actor: Actor) -> list[ColumnElement[bool]]:
    """Returns the same for a query over meters, as terms: none where the actor sees everything."""
    return [] if actor.areas is None else [Meter.area.in_(actor.areas)]


def gateway_terms(actor: Actor, gateway: _Column) -> list[ColumnElement[bool]]:
    """Returns the condition that a gateway is, or has a meter, in the actor's areas, as terms."""
    if actor.areas is None:
        return []
    behind = gateway.in_(select(Meter.gateway_id).where(Meter.area.in_(actor.areas)))
    there = gateway.in_(select(Gateway.id).where(Gateway.area.in_(actor.areas)))
    return [or_(there, behind)]


def seen_meters(registry: Engine, actor: Actor, meters: Iterable[str]) -> set[str]:
    """Returns those of some meters that the actor sees."""
    wanted = set(meters)
    if actor.areas is None:
        return wanted
    with reading(registry) as session:
        return {
            found
            for names in batched(sorted(wanted))
            for found in session.scalars(
                select(Meter.id).where(Meter.id.in_(names), Meter.area.in_(actor.areas))
            )
        }


def sees_batch(registry: Engine, authority: Engine, actor: Actor, batch_id: str) -> bool:
    """Says whether all of a batch's meters are the actor's to see, and none is a gateway."""
    if actor.areas is None:
        return True
    with reading(authority) as session:
        meters = set(session.scalars(select(BatchRow.meter).where(BatchRow.batch == batch_id)))
    return seen_meters(registry, actor, meters) == meters


def meters_of(registry: Engine, actor: Actor) -> list[str] | None:
    """Returns every meter of the actor's areas; None where it sees all."""
    if actor.areas is None:
        return None
    with reading(registry) as session:
        return list(session.scalars(narrowed(select(Meter.id), actor)))


def gateways_of(registry: Engine, actor: Actor) -> set[str] | None:
    """Returns every gateway that the actor sees; None where it sees all."""
    if actor.areas is None:
        return None
    with reading(registry) as session:
        return set(session.scalars(select(Gateway.id).where(*gateway_terms(actor, Gateway.id))))


def require_meter(registry: Engine, actor: Actor, meter: str) -> None:
    """Checks that a meter is the actor's to see; one who sees all may name whatever they like.

    Raises:
        NotFound: it is elsewhere, or does not exist.
    """
    if actor.areas is not None and not seen_meters(registry, actor, [meter]):
        raise NotFound(worded("there is no meter {meter}", meter=meter))


async def check_meter(registry: Engine, actor: Actor, meter: str) -> None:
    """Does what `require_meter` does, on a thread; costs nothing for who sees everything."""
    if actor.areas is not None:
        await asyncio.to_thread(require_meter, registry, actor, meter)


async def check_meters(registry: Engine, actor: Actor, meters: Iterable[str]) -> None:
    """Checks that all of some meters are the actor's to see.

    Raises:
        NotFound: one is elsewhere, or does not exist.
    """
    if actor.areas is None:
        return
    wanted = set(meters)
    beyond = wanted - await asyncio.to_thread(seen_meters, registry, actor, wanted)
    if beyond:
        raise NotFound(worded("there is no meter {beyond}", beyond=min(beyond)))


async def check_addressee(registry: Engine, actor: Actor, meter: str) -> None:
    """Checks what a command is for: a meter, or with no name a gateway, which serves many areas.

    Raises:
        NotFound, NotPermitted: it is not the actor's to command.
    """
    if not meter:
        require_everywhere(actor, "what a gateway is told")
    await check_meter(registry, actor, meter)


def seen_rows(
    registry: Engine, actor: Actor, page: Callable[[int, int], list[R]], limit: int
) -> list[R]:
    """Returns the first rows of the authority's database whose meters the actor sees.

    Args:
        registry: Where areas are known.
        actor: Who asks.
        page: Returns rows in their order, by offset and count.
        limit: How many at most.
    """
    if actor.areas is None:
        return page(0, limit)
    found: list[R] = []
    offset = 0
    while len(found) < limit:
        rows = page(offset, _PAGE)
        seen = seen_meters(registry, actor, {row.meter for row in rows})
        found += [row for row in rows if row.meter in seen]
        if len(rows) < _PAGE:
            break
        offset += _PAGE
    return found[:limit]


def require_everywhere(actor: Actor, what: str) -> None:
    """Checks that the actor sees every area.

    Raises:
        NotPermitted: it does not, and ``what`` cannot be divided.
    """
    if actor.areas is not None:
        raise NotPermitted(
            worded("{what} cannot be divided by area; your account is for some areas", what=what)
        )
