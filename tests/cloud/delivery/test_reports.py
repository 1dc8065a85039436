"""Reports that were made by themselves, as they arrive at a real mail server."""

from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.db.authority import AuthorityBase
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.privacy import DataAccess
from hesper_cloud.db.registry import Report, ReportSchedule
from hesper_cloud.delivery import mail as mailing
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.reports.folders import file_of
from hesper_cloud.reports.making import Making
from hesper_cloud.reports.schedules import ScheduledReports
from hesper_cloud.reports.tables import Shelves
from sqlalchemy import String, select

PASSWORD = "a mail server's password"


@pytest.fixture
def posted(house: Any, mail: Any, authority: Any, tmp_path: Path) -> Any:
    """Makes the report of a schedule that is due, mailed to a target; returns the report."""
    config = {
        "kind": "email", "host": "127.0.0.1", "port": mail.port, "security": "starttls",
        "username": "hesper@example.com", "sender": "hesper@example.com",
        "recipients": ["billing@example.com"], "ca": authority.pem,
    }  # fmt: skip
    target = house.target(config, PASSWORD, "billing")
    with writing(house.engine) as session:
        session.add(
            ReportSchedule(
                name="daily", kind="consumption", every="day", at_minute=0, zone="UTC",
                area="Harbour", enabled=True, next_at=house.now, made_by="ann", made_at=house.now,
                target_id=target,
            )
        )  # fmt: skip
    records = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    AuthorityBase.metadata.create_all(records)
    book = EnergyBook(tmp_path / "energy.duckdb")
    shelves = Shelves(house.engine, records, book, house.settings, house.clock)
    ScheduledReports(house.engine, house.clock).turn()
    runner = Runner(house.engine, [Making(shelves, house.settings.state)], house.clock)
    while runner.turn():
        pass
    book.close()
    records.dispose()
    with reading(house.engine) as session:
        return session.scalars(select(Report)).one()


def test_a_report_arrives_with_its_files_and_the_look_is_on_record(
    house: Any, mail: Any, posted: Any
) -> None:
    house.turn(1)
    envelope, arrived = mail.server.next()
    assert envelope.rcpt_tos == ["billing@example.com"]
    assert arrived["Subject"] == "[Hesper] Consumption, 2026-05-31, Harbour"
    assert f"report {posted.id}, 1 rows" in arrived.get_body(("plain",)).get_content()
    attached = {part.get_filename(): part.get_content() for part in arrived.iter_attachments()}
    state = house.settings.state
    assert attached["report.pdf"] == file_of(state, posted.job_id, "pdf").read_bytes()
    table = attached["report.csv"]
    octets = table if isinstance(table, bytes) else table.encode()
    assert b"M1" in octets
    assert b"M2" not in octets  # of another area
    (sent,) = house.outbox()
    assert (sent.kind, sent.state, sent.attempts) == ("report", "sent", 1)
    with reading(house.engine) as session:
        looks = session.scalars(select(DataAccess).order_by(DataAccess.id)).all()
    assert [(look.who, look.door, look.operation, look.area) for look in looks] == [
        ("ann", "report", "consumption", "Harbour"),
        ("billing", "schedule", "consumption, mailed", "Harbour"),
    ]
    for column in (each for each in DataAccess.__table__.columns if isinstance(each.type, String)):
        told = [getattr(look, column.key) or "" for look in looks]
        assert max(map(len, told)) <= (column.type.length or 0), "PostgreSQL takes no longer one"
    house.turn(60)
    assert mail.server.arrived.empty()


def test_what_is_too_large_is_fetched_instead(
    house: Any, mail: Any, posted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = posted.files["csv"]["octets"]
    monkeypatch.setattr(mailing, "MOST_ATTACHED", size)
    house.turn(1)
    _, arrived = mail.server.next()
    assert [part.get_filename() for part in arrived.iter_attachments()] == ["report.csv"]


def test_a_report_that_was_erased_meanwhile_is_not_sent(house: Any, mail: Any, posted: Any) -> None:
    with writing(house.engine) as session:
        session.get_one(Report, posted.id).removed_at = house.now
    house.turn(1)
    assert mail.server.arrived.empty()
    assert house.outbox()[0].state == "sent"
    assert "was erased" in house.attempts()[0].answer
