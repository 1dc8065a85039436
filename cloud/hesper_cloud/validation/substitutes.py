"""Estimates and edits beside the raw values: versioned, never overwritten, only withdrawn."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from hesper_cloud.db.energy import Substitute
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation.codes import EDIT
from hesper_cloud.validation.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity of one profile of one meter."""

    meter: str
    profile: str
    logical_name: str


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person puts in the place of a value, and why; the key makes a repeat harmless."""

    curve: Curve
    captured_at: datetime
    value: int
    scaler: int
    unit: int
    reason: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """What the estimates of a range of a curve should be.

    Attributes:
        curve: Whose estimates.
        unit: In what the values are given.
        wanted: What should hold.
        before: What held when that was found, edits left aside.
        misread: When the register was read wrong beside a gap: those days change, too.
    """

    curve: Curve
    unit: int
    wanted: Sequence[Estimate]
    before: Sequence[Substitute]
    misread: frozenset[int] = frozenset()


def current(
    session: Session, meters: Sequence[str], profile: str, start: int, end: int
) -> list[Substitute]:
    """Returns what holds now for captures with ``start <= t <= end``; epoch seconds."""
    query = select(Substitute).where(*_holding(meters, profile, start, end))
    return list(session.scalars(query.order_by(Substitute.meter, Substitute.captured_at)))


def quantities(
    session: Session, meters: Sequence[str], profile: str, start: int, end: int
) -> dict[str, set[Quantity]]:
    """Returns in what the values are that `current` returns, by meter."""
    columns = (Substitute.meter, Substitute.logical_name, Substitute.scaler, Substitute.unit)
    query = select(*columns).where(*_holding(meters, profile, start, end)).distinct()
    found = dict[str, set[Quantity]]()
    for meter, name, scaler, unit in session.execute(query):
        found.setdefault(meter, set()).add(Quantity(name, scaler, unit))
    return found


def _holding(
    meters: Sequence[str], profile: str, start: int, end: int
) -> tuple[ColumnElement[bool], ...]:
    return (
        Substitute.meter.in_(meters),
        Substitute.profile == profile,
        Substitute.captured_at >= _utc(start),
        Substitute.captured_at <= _utc(end),
        Substitute.withdrawn_at.is_(None),
    )


def renew_estimates(session: Session, renewal: Renewal, at: datetime) -> set[int]:
    """Makes estimates what they should be; returns the capture times that changed.

    What a person edited since the renewal was found stays: the edit marks its day anew.
    """
    curve = renewal.curve
    due = {each.captured_at: each for each in renewal.wanted}
    outdated = {}
    for row in renewal.before:
        moment = int(row.captured_at.timestamp())
        new = due.get(moment)
        if new and (new.value, new.method, new.scaler) == (row.value, row.method, row.scaler):
            del due[moment]
        else:
            outdated[row.id] = moment
    changed = _withdrawn(session, outdated, at)
    versions, edits = _versions(session, curve, due)
    fresh = [each for moment, each in due.items() if moment not in edits]
    session.add_all(
        Substitute(
            meter=curve.meter,
            profile=curve.profile,
            logical_name=curve.logical_name,
            captured_at=_utc(each.captured_at),
            version=versions.get(each.captured_at, 0) + 1,
            method=each.method,
            value=each.value,
            scaler=each.scaler,
            unit=renewal.unit,
            made_at=at,
        )
        for each in fresh
    )
    return changed | {each.captured_at for each in fresh}


def _withdrawn(session: Session, moments: Mapping[int, int], at: datetime) -> set[int]:
    """Withdraws rows, by id and capture time; returns the times of those that still held."""
    changed = set()
    for number, moment in moments.items():
        row = session.get(Substitute, number)
        if row is not None and row.withdrawn_at is None:
            row.withdrawn_at = at
            changed.add(moment)
    session.flush()
    return changed


def edited(session: Session, edit: Edit, who: str, at: datetime) -> Substitute:
    """Puts an edit in place, withdraws what held before; a repeated key returns the first one."""
    repeated = by_key(session, who, edit.idempotency_key)
    if repeated is not None:
        return repeated
    curve = edit.curve
    for row in _of(session, curve, edit.captured_at):
        row.withdrawn_at, row.withdrawn_by = at, who
    versions, _ = _versions(session, curve, [int(edit.captured_at.timestamp())])
    new = Substitute(
        meter=curve.meter,
        profile=curve.profile,
        logical_name=curve.logical_name,
        captured_at=edit.captured_at,
        version=versions.get(int(edit.captured_at.timestamp()), 0) + 1,
        method=EDIT,
        value=edit.value,
        scaler=edit.scaler,
        unit=edit.unit,
        made_at=at,
        made_by=who,
        reason=edit.reason,
        idempotency_key=edit.idempotency_key,
    )
    session.add(new)
    session.flush()
    return new


def by_key(session: Session, who: str, key: str) -> Substitute | None:
    """Returns the edit that a person made under a key."""
    query = select(Substitute).where(Substitute.made_by == who, Substitute.idempotency_key == key)
    return session.scalars(query).one_or_none()


def _of(session: Session, curve: Curve, at: datetime) -> list[Substitute]:
    query = select(Substitute).where(
        Substitute.meter == curve.meter,
        Substitute.profile == curve.profile,
        Substitute.logical_name == curve.logical_name,
        Substitute.captured_at == at,
        Substitute.withdrawn_at.is_(None),
    )
    return list(session.scalars(query))


def _versions(
    session: Session, curve: Curve, moments: Collection[int]
) -> tuple[dict[int, int], set[int]]:
    """Returns the newest version by capture time, of all that a curve ever had, and its edits."""
    if not moments:
        return {}, set()
    is_edit = (Substitute.method == EDIT) & Substitute.withdrawn_at.is_(None)
    query = select(
        Substitute.captured_at, func.max(Substitute.version), func.max(case((is_edit, 1), else_=0))
    ).where(
        Substitute.meter == curve.meter,
        Substitute.profile == curve.profile,
        Substitute.logical_name == curve.logical_name,
        Substitute.captured_at >= _utc(min(moments)),
        Substitute.captured_at <= _utc(max(moments)),
    )
    rows = session.execute(query.group_by(Substitute.captured_at)).all()
    versions = {int(at.timestamp()): version for at, version, _ in rows}
    return versions, {int(at.timestamp()) for at, _, edited_ in rows if edited_}


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
