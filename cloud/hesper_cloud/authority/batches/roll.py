"""The roll of a batch: what the authority knows of many meters at once, and who takes no part.

The same rules as for a single command, asked of tables instead of one meter at a time. They decide
only who is frozen into the list; each command is checked by `rules` again when it is signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, or_, select

from hesper_cloud.accounts.areas import within
from hesper_cloud.authority import evidence, rules
from hesper_cloud.authority.batches.frozen import Frozen
from hesper_cloud.authority.case import Case
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.kinds import CUTTING, DISCONNECT, KINDS, READ, RECONNECT
from hesper_cloud.authority.many import many_meters
from hesper_cloud.authority.policy import JOBS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord, GatewayKey, Protection, User
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Element, ElementMeter, Meter
from hesper_cloud.worded import later, worded

_FINEST_FIRST = {"transformer": 0, "feeder": 1, "area": 2}
_WISHED: dict[str, bool] = {DISCONNECT: False, RECONNECT: True}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the authority's own database says of those on the roll."""

    gateways: frozenset[str]
    protected: dict[str, str]
    pending: dict[str, str]  # what a command in the way is called by: meter → state


def called(case: Case, kind: str, names: Sequence[str]) -> list[Frozen]:
    """Returns the rows of a batch, in the order of its list, with the causes of exclusion."""
    if KINDS[kind].at_gateway:
        return _gateways(case, kind, names)
    found = _found(case, names)
    areas = _areas(case, names) if kind == RECONNECT else {}
    known = _known(case, kind, names)
    return [
        (
            position,
            name,
            meter.gateway if (meter := found.get(name)) else None,
            areas.get(name),
            _cause(case, kind, meter, known),
        )
        for position, name in enumerate(names)
    ]


def check_areas(case: Case, user: User, names: Sequence[str]) -> None:
    """Checks that all meters lie where an account of some areas sees; one nobody knows does not.

    Raises:
        Denied: one lies elsewhere, or there are gateways, which serve many areas.
    """
    if user.areas is None:
        return
    if not all(names):
        raise Denied("an account of some areas tells gateways nothing")
    found = _found(case, names)
    with reading(case.registry) as session:
        seen = frozenset(within(session, user.areas))
    for name in names:
        if name not in found or found[name].area not in seen:
            raise Denied(worded("there is no meter {name!r}", name=name))


def _found(case: Case, names: Sequence[str]) -> dict[str, MeterFacts]:
    found: dict[str, MeterFacts] = {}
    for some in batched(names):
        case.give_way()
        found.update(many_meters(case.registry, some))
    return found


def _cause(case: Case, kind: str, meter: MeterFacts | None, known: _Known) -> str | None:
    if meter is None:
        return later("unknown meter")
    if meter.gateway is None or meter.logical_device_name is None:
        return later("not commissioned")
    if meter.gateway not in known.gateways:
        return later("gateway not enrolled")
    if kind in CUTTING and (meter.id in known.protected or meter.life_support):
        cause = known.protected.get(meter.id, later("life support"))
        return worded("protected: {cause}", cause=cause)
    if meter.id in known.pending:
        state = known.pending[meter.id].replace("_", " ")
        return worded("another command is {state}", state=state)
    oldest = case.now - timedelta(seconds=case.policy.relay_state_max_age_s)
    read_at = meter.relay_read_at(case.now)
    is_fresh = read_at is not None and read_at >= oldest
    if KINDS[kind].on_known_relay and not is_fresh:
        return later("relay state too old")
    if is_fresh and _is_as_wished(kind, meter):
        return later("relay already as wished")
    return None


def _is_as_wished(kind: str, meter: MeterFacts) -> bool:
    """Says whether a relay stands where it should; not where a button could connect it again."""
    output = meter.relay_output
    if output is None or output is not _WISHED.get(kind):
        return False
    return evidence.reached(kind, output, meter.relay_control)


def _gateways(case: Case, kind: str, names: Sequence[str]) -> list[Frozen]:
    known = _known(case, kind, ())
    pending = select(CommandRecord.gateway).where(_in_the_way(kind))
    busy = frozenset(case.session.scalars(pending))
    rows: list[Frozen] = []
    for position, name in enumerate(names):
        cause = later("another command is open") if name in busy else None
        if name not in known.gateways:
            cause = "gateway not enrolled"
        rows.append((position, "", name, None, cause))
    return rows


def _known(case: Case, kind: str, names: Sequence[str]) -> _Known:
    session = case.session
    pending: dict[str, str] = {}
    for some in batched(names) if kind != READ else ():
        case.give_way()
        query = select(CommandRecord.meter, CommandRecord.state).where(
            CommandRecord.meter.in_(some), _in_the_way(kind)
        )
        pending.update(session.execute(query).all())
    protected = select(Protection.meter, Protection.cause)
    return _Known(
        gateways=frozenset(session.scalars(select(GatewayKey.gateway))),
        protected=dict(session.execute(protected).all()) if kind in CUTTING else {},
        pending=pending,
    )


def _in_the_way(kind: str) -> ColumnElement[bool]:
    states = rules.excluding(kind)
    return (CommandRecord.requester != JOBS) & or_(
        *(
            (CommandRecord.kind == one) & CommandRecord.state.in_(those)
            for one, those in states.items()
        )
    )


def _areas(case: Case, names: Sequence[str]) -> dict[str, str]:
    """Returns each meter's finest known part of the grid, else the area that its paper names."""
    areas: dict[str, str] = {}
    with reading(case.registry) as session:
        kinds = dict(session.execute(select(Element.id, Element.kind)).all())
        for some in batched(names):
            case.give_way()
            papers = select(Meter.id, Meter.area).where(Meter.id.in_(some), Meter.area.is_not(None))
            areas.update((name, area or "") for name, area in session.execute(papers))
            fed = select(ElementMeter.meter, ElementMeter.element).where(
                ElementMeter.meter.in_(some),
                ElementMeter.role == "customer",
                ElementMeter.stands(case.now),
            )
            coarse_first = sorted(
                session.execute(fed),
                key=lambda pair: -_FINEST_FIRST.get(kinds.get(pair[1], ""), 3),
            )
            areas.update(coarse_first)
    return {meter: area[:64] for meter, area in areas.items()}
