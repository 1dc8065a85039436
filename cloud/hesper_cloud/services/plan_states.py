"""What is desired and what is reported at each gateway, of schedules and of templates."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Gateway, Meter, PlanAssignment, PlanVersion
from hesper_cloud.services import scope
from hesper_cloud.services.known_files import KnownFile, known_files
from hesper_cloud.services.sources import Sources

PlanKind = Literal["schedule", "template"]
State = Literal["as desired", "names agree", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class PlanQuery:
    """Whom an assignment finds: a gateway, those of an area, or those of a brand or model.

    All that is said must hold; nothing said means every gateway. Brand, model and type are those
    of meters: for a schedule a gateway with one such meter is meant, for a template those meters.
    """

    gateway: str | None = None
    area: str | None = None
    brand: str | None = None
    model: str | None = None
    meter_type: str | None = None

    def said(self) -> dict[str, str]:
        """Returns what is said of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class PlanState:
    """One gateway: what is desired there, what it confirmed, and whether that is the same.

    ``reported`` is the table ``[schedule]`` of its file, or how many of its meters are read by
    which template; None, with the state ``unknown``, where its file is not known here. Of templates
    the names alone can be compared (``names agree``): which text a gateway has, it does not tell.
    """

    gateway: str
    desired_name: str | None
    desired_version: int | None
    desired: dict[str, Any] | None
    reported: dict[str, Any] | None
    reported_at: datetime | None
    command: str | None
    state: State


def holding(session: Session, kind: PlanKind) -> Sequence[PlanAssignment]:
    """Returns the assignments that hold, newest first."""
    query = select(PlanAssignment).where(
        PlanAssignment.kind == kind, PlanAssignment.ended_at.is_(None)
    )
    return session.scalars(query.order_by(PlanAssignment.id.desc())).all()


def states(sources: Sources, actor: Actor, kind: PlanKind) -> list[PlanState]:
    """Returns the state of each gateway that the actor sees, by name."""
    with reading(sources.registry) as session:
        terms = scope.gateway_terms(actor, Gateway.id)
        alive = Gateway.deleted_at.is_(None)
        gateways = list(session.scalars(select(Gateway.id).where(alive, *terms).order_by("id")))
        desired = _desired(session, kind)
        documents = _documents(session, kind)
    files = known_files(sources.authority, gateways)
    return [
        _state(kind, gateway, desired.get(gateway, {}), documents, files.get(gateway))
        for gateway in gateways
    ]


_Desired = dict[str, tuple[str, int]]  # meter, or nothing for the gateway itself → plan


def _desired(session: Session, kind: PlanKind) -> dict[str, _Desired]:
    """Returns what is desired, by gateway and meter: the newest assignment that finds it."""
    found: dict[str, _Desired] = defaultdict(dict)
    for assignment in holding(session, kind):
        query = PlanQuery(**assignment.query)
        for gateway, meter in session.execute(_whom(query)):
            place = meter if kind == "template" else ""
            if gateway is not None and place is not None:
                found[gateway].setdefault(place, (assignment.name, assignment.version))
    return found


def _whom(query: PlanQuery) -> Any:
    wanted = select(Gateway.id, Meter.id).outerjoin(Meter, Meter.gateway_id == Gateway.id)
    for column, value in (
        (Gateway.id, query.gateway),
        (Meter.brand, query.brand),
        (Meter.model, query.model),
        (Meter.meter_type, query.meter_type),
    ):
        if value is not None:
            wanted = wanted.where(column == value)
    if query.area is not None:
        wanted = wanted.where((Gateway.area == query.area) | (Meter.area == query.area))
    return wanted


def _documents(session: Session, kind: PlanKind) -> dict[tuple[str, int], dict[str, Any]]:
    query = select(PlanVersion).where(PlanVersion.kind == kind)
    return {(row.name, row.version): row.document for row in session.scalars(query)}


def _state(
    kind: PlanKind,
    gateway: str,
    desired: _Desired,
    documents: dict[tuple[str, int], dict[str, Any]],
    file: KnownFile | None,
) -> PlanState:
    plan = next(iter(desired.values()), None)
    name, version = plan if plan is not None else (None, None)
    if kind == "schedule":
        wanted = documents.get(plan) if plan is not None else None
        reported = None if file is None else dict(file.content.get("schedule", {}))
        same = wanted is None or (reported is not None and wanted.items() <= reported.items())
    else:
        wanted = _counted({meter: each for meter, (each, _) in desired.items()}) or None
        by_meter = None if file is None else _templates(file)
        reported = None if by_meter is None else _counted(by_meter)
        same = by_meter is not None and all(
            by_meter.get(meter) == each for meter, (each, _) in desired.items()
        )
    agrees: State = "as desired" if kind == "schedule" else "names agree"
    state: State = "unknown" if file is None else (agrees if same else "differs")
    return PlanState(
        gateway=gateway,
        desired_name=name,
        desired_version=version,
        desired=wanted,
        reported=reported,
        reported_at=None if file is None else file.confirmed_at,
        command=None if file is None else file.command,
        state=state,
    )


def _templates(file: KnownFile) -> dict[str, str]:
    return {
        str(each.get("id")): str(each.get("template"))
        for each in file.content.get("meters", [])
        if isinstance(each, dict)
    }


def _counted(by_meter: dict[str, str]) -> dict[str, Any]:
    names = list(by_meter.values())
    return {name: names.count(name) for name in sorted(set(names))}
