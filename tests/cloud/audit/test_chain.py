"""The audit chain shows every edit, drop, swap and insertion."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hesper_cloud import audit
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import open_engine, reading, writing
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session
from tables import make_tables

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def chain(tmp_path) -> Engine:
    engine = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    make_tables(engine, "authority")
    with writing(engine) as session:
        for n in range(10):
            entry = audit.Entry("ann", "command.sent", f"meter {n}", "queued", "sent", "wül")
            audit.append(session, NOW + timedelta(seconds=n, microseconds=n), entry)
    return engine


def verdict(engine: Engine) -> audit.Verdict:
    with reading(engine) as session:
        return audit.verify(session)


def test_an_untouched_chain_is_intact(chain):
    found = verdict(chain)
    assert (found.intact, found.rows, found.broken_at) == (True, 10, None)
    assert found.head.startswith("10:")


def edit(field: str, value: object) -> Callable[[Session], object]:
    return lambda session: session.execute(
        update(AuditRow).where(AuditRow.sequence == 4).values({field: value})
    )


def drop(session: Session) -> None:
    session.execute(delete(AuditRow).where(AuditRow.sequence == 4))


def drop_and_close_up(session: Session) -> None:
    drop(session)
    for n in range(5, 11):
        session.execute(update(AuditRow).where(AuditRow.sequence == n).values(sequence=n - 1))


def swap(session: Session) -> None:
    for old, new in ((4, 99), (5, 4), (99, 5)):
        session.execute(update(AuditRow).where(AuditRow.sequence == old).values(sequence=new))


def rewrite_one_row_with_its_hash(session: Session) -> None:
    row = session.get_one(AuditRow, 4)
    row.actor = "nobody"
    row.hash = audit.row_hash(row)


TAMPERING = {
    "actor": edit("actor", "ben"),
    "time": edit("at", NOW),
    "reason": edit("why", None),
    "hash": edit("hash", "0" * 64),
    "drop": drop,
    "drop and close up": drop_and_close_up,
    "swap": swap,
}


@pytest.mark.parametrize("tamper", TAMPERING.values(), ids=TAMPERING)
def test_tampering_is_found_where_it_was_done(chain, tamper):
    with writing(chain) as session:
        tamper(session)
    found = verdict(chain)
    assert (found.intact, found.rows) == (False, 3)
    assert found.broken_at in (4, 5)


def test_a_row_rewritten_with_its_hash_breaks_the_next(chain):
    with writing(chain) as session:
        rewrite_one_row_with_its_hash(session)
    assert verdict(chain).broken_at == 5


def test_a_cut_tail_shows_in_the_head(chain):
    before = verdict(chain)
    with writing(chain) as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence > 8))
    after = verdict(chain)
    assert after.intact
    assert before.head != after.head


def test_rows_continue_the_chain_after_a_restart(chain):
    with writing(chain) as session:
        audit.append(session, NOW, audit.Entry("ann", "login", "here"))
    with reading(chain) as session:
        last = session.scalars(select(AuditRow).order_by(AuditRow.sequence.desc())).first()
    assert (last.sequence, verdict(chain).intact) == (11, True)
