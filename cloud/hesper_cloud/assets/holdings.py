"""Which meters measured a person's supply, and when: by the history of assets.

A meter that serves another household today is that household's; what it measured before is still
the earlier one's. Where no history says since when, it is all of what is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.db.assets import AssetChange, MeterExchange
from hesper_cloud.db.registry import Meter

_METER = "meter"
_LINK = "customer_id"


@dataclass(frozen=True, slots=True)
class Holding:
    """One meter and the time for which it was the person's; None: from the beginning, until now."""

    meter: str
    since: datetime | None
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Says whether a moment belongs to it."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


def holdings(session: Session, customer_id: int) -> list[Holding]:
    """Returns what was a customer's, meter by meter, oldest first."""
    held = set(session.scalars(select(Meter.id).where(Meter.customer_id == customer_id)))
    pairs = select(MeterExchange.old_meter, MeterExchange.new_meter)
    exchanged = session.execute(pairs.where(MeterExchange.customer_id == customer_id))
    changes = _changes(session)
    named = {meter for pair in exchanged for meter in pair}
    named |= {meter for meter, links in changes.items() if _names(links, customer_id)}
    return [
        holding
        for meter in sorted(held | named)
        for holding in _of_meter(meter, changes.get(meter, []), customer_id, meter in held)
    ]


_Link = tuple[datetime, int | None, int | None]
"""When, from which customer, to which."""


def _changes(session: Session) -> dict[str, list[_Link]]:
    mentions = or_(
        *(
            cast(column, Text).contains(f'"{_LINK}"')
            for column in (AssetChange.before, AssetChange.after)
        )
    )
    query = select(AssetChange).where(AssetChange.kind == _METER, mentions)
    found: dict[str, list[_Link]] = {}
    for row in session.scalars(query.order_by(AssetChange.id)):
        if _LINK in row.after or _LINK in row.before:
            link = (row.at, row.before.get(_LINK), row.after.get(_LINK))
            found.setdefault(row.asset, []).append(link)
    return found


def _names(links: Iterable[_Link], customer_id: int) -> bool:
    return any(customer_id in (before, after) for _, before, after in links)


def _of_meter(meter: str, links: list[_Link], customer_id: int, is_held: bool) -> list[Holding]:
    found: list[Holding] = []
    since: datetime | None = None
    is_open = bool(links) and links[0][1] == customer_id
    for at, _, after in links:
        if after == customer_id and not is_open:
            since, is_open = at, True
        elif after != customer_id and is_open:
            found.append(Holding(meter, since, at))
            is_open = False
    if is_open or (is_held and not found):
        found.append(Holding(meter, since if is_open else None, None))
    return found
