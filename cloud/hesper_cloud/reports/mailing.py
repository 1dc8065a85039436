"""Reports that were made by themselves leave by mail, over the outbox of delivery."""

import uuid
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from hesper_cloud.db.delivery import Delivery, DeliveryTarget
from hesper_cloud.db.reports import Report, ReportSchedule
from hesper_cloud.delivery.messages import REPORT
from hesper_cloud.delivery.routing import WAITING
from hesper_cloud.reports.folders import file_of

MAIL = "email"
"""The kind of target that takes reports."""
_ORDER = ("pdf", "csv")


def mail(session: Session, report: Report, schedule: int | None, at: datetime) -> str | None:
    """Puts a report into the outbox of the target that its schedule names.

    Args:
        session: In the transaction that enters the report.
        report: With its number.
        schedule: That asked for it; None: a person did.
        at: When.

    Returns:
        The name of the target; None where there is none any more.
    """
    row = session.get(ReportSchedule, schedule) if schedule is not None else None
    target = session.get(DeliveryTarget, row.target_id) if row and row.target_id else None
    if target is None or target.kind != MAIL:
        return None
    files = [str(file_of(Path(), report.job_id, form)) for form in _ORDER if form in report.files]
    session.add(
        Delivery(
            message_id=str(uuid.uuid4()),
            target_id=target.id,
            kind=REPORT,
            state=WAITING,
            entries={"changes": [], "report": report.id, "files": files},
            made_at=at,
            due_at=at,
            attempts=0,
        )
    )
    return target.name
