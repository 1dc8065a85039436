"""A meter or gateway that was planned or in stock is heard: it is installed from then on."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hesper_cloud.assets import keeping
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import GATEWAY, METER
from hesper_cloud.assets.lives import WAITING
from hesper_cloud.db.listed import listed
from hesper_cloud.db.registry import Gateway, Meter

HEAD_END = "head end"
HEARD = "it was heard"


def meters_heard(session: Session, gateway: str, meters: Iterable[str], at: datetime) -> int:
    """Takes into service what a gateway heard and a person had only entered; returns how many.

    One that was deleted is there again. One that was removed stays so until a person says more.
    """
    entered = or_(Meter.life.in_(WAITING), Meter.deleted_at.is_not(None))
    names = listed(session, list(meters))
    rows = session.scalars(select(Meter).where(Meter.id.in_(names), entered)).all()
    for row in rows:
        if row.life == "removed":
            continue
        values = {"life": "installed", "gateway_id": row.gateway_id or gateway, "deleted_at": None}
        values |= keeping.emptied(session, METER, row)
        keeping.alter(session, METER, row, values, By(HEAD_END, at, HEARD), "install")
    return len(rows)


def gateway_heard(session: Session, row: Gateway, at: datetime) -> None:
    """Does the same for a gateway that says that it is online."""
    if row.life in WAITING or row.deleted_at is not None:
        values = {"life": "installed", "deleted_at": None}
        values |= keeping.emptied(session, GATEWAY, row)
        keeping.alter(session, GATEWAY, row, values, By(HEAD_END, at, HEARD), "install")
