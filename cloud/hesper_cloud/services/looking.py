"""Notes who looks at interval data, before it is shown: the services call this, no route does."""

from collections.abc import Iterable

from hesper_cloud import metrics
from hesper_cloud.access_log import Look, LooksFull
from hesper_cloud.accounts.roles import Actor
from hesper_cloud.services.errors import Unavailable
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import worded

Span = tuple[int, int]
_LONGEST_METER = 32


def looked_at(
    sources: Sources, actor: Actor, operation: str, meter: str, span: Span | None = None
) -> None:
    """Notes a look at one meter's data.

    Args:
        sources: Where looks wait for the database.
        actor: Who looks.
        operation: What for, a word or two: `readings`, `series`, `bill` …
        meter: Whose data; it need not exist.
        span: First second and the one after the last, of the captures that are asked for.

    Raises:
        Unavailable: the log takes no more, so nothing may be shown.
    """
    look = Look(actor.username, actor.door, operation, _writable(meter))
    _note(sources, [_over(look, span)])


def looked_at_all(sources: Sources, actor: Actor, operation: str, span: Span | None = None) -> None:
    """Notes a look at the data of every meter that the actor sees.

    Raises:
        Unavailable: the log takes no more, so nothing may be shown.
    """
    areas: Iterable[str | None] = (None,) if actor.areas is None else actor.areas
    _note(
        sources,
        [_over(Look(actor.username, actor.door, operation, None, area), span) for area in areas],
    )


def looked_at_area(
    sources: Sources, actor: Actor, operation: str, area: str | None, span: Span
) -> None:
    """Notes a look at the data of every meter of an area, or of all where it is None.

    Raises:
        Unavailable: the log takes no more, so nothing may be shown.
    """
    look = Look(actor.username, actor.door, operation, None, area)
    _note(sources, [_over(look, span)])


def _over(look: Look, span: Span | None) -> Look:
    return look if span is None else look._replace(from_at=span[0], to_at=span[1])


def _note(sources: Sources, looks: list[Look]) -> None:
    if looks:
        metrics.LOOKS.labels(looks[0].door, looks[0].operation).inc()
    try:
        sources.looks.note(looks, sources.clock())
    except LooksFull as full:
        raise Unavailable(
            worded("the access log cannot be written, so nothing is shown: {full}", full=full)
        ) from None


def _writable(meter: str) -> str:
    """Returns a name as any database takes it: nobody's question may hold up the log."""
    return meter.encode("utf-8", "replace").decode().replace("\0", "")[:_LONGEST_METER]
