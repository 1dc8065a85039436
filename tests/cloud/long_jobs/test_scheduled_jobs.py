"""The scheduled jobs: meter status, rules and clean-up by their clocks; what each of them does."""

import asyncio
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hesper_cloud import cleaning, jobs
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.cleaning import PERSONS, CleanUp
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import (
    Backfill,
    BatchSeen,
    Event,
    Gap,
    ImportFile,
    ImportReject,
    LongJob,
    Meter,
    Report,
    Request,
    ScheduledRun,
    WebSession,
)
from hesper_cloud.giving_way import GivesWay
from hesper_cloud.imports.folders import Folder
from hesper_cloud.latest import LatestValues
from hesper_cloud.live.hub import Mailbox
from hesper_cloud.live.places import FLEET
from hesper_cloud.reports.folders import SPOOL, folder_of
from hesper_cloud.services.meter_status import MeterStatus
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.turns import Job
from sqlalchemy import select

DEADLINE_S = 60.0


@pytest.fixture
def sources(head_end: Any) -> Any:
    store = DuckDbStore(head_end.settings.readings_file)
    databases = head_end.databases
    yield Sources(
        head_end.settings, databases.registry, databases.authority, store, LatestValues(),
        head_end.clock,
    )  # fmt: skip
    store.close()


async def test_the_jobs_of_the_issue_run_by_their_clocks_and_are_visible(sources: Any) -> None:
    running = asyncio.create_task(jobs.run(sources, lambda: 0.0))
    wanted = {"meter status": 30.0, "rules": 300.0, "clean-up": 86_400.0}

    def seen() -> dict[str, ScheduledRun]:
        with reading(sources.registry) as session:
            return {row.name: row for row in session.scalars(select(ScheduledRun))}

    async with asyncio.timeout(DEADLINE_S):
        while not all(name in seen() and seen()[name].ended_at for name in wanted):
            assert not running.done(), running
            await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    rows = seen()
    assert {name: rows[name].every_s for name in wanted} == wanted
    assert all(rows[name].seconds is not None and rows[name].problem is None for name in wanted)
    assert all(rows[name].next_at is not None for name in wanted)


async def test_silence_does_not_wait_for_the_gap_ledger(sources: Any) -> None:
    """A look at the gaps of a large fleet takes long, and an erasure beside it too."""
    go_on = threading.Event()

    class Slow(DuckDbStore):
        def captured(self, *asked: Any) -> Any:
            go_on.wait(DEADLINE_S)
            return super().captured(*asked)

    sources.store.close()
    store = Slow(sources.settings.readings_file)
    slow = replace(sources, store=store)
    running = asyncio.create_task(jobs.run(slow, lambda: 0.0))
    query = select(ScheduledRun).where(ScheduledRun.ended_at.is_not(None))

    def ended() -> set[str]:
        with reading(sources.registry) as session:
            return {row.name for row in session.scalars(query)}

    wanted = {"silence", "alerts", "outages", "delivery"}
    async with asyncio.timeout(DEADLINE_S):
        while not wanted <= ended():
            assert not running.done(), running
            await asyncio.sleep(0.05)
    assert "gaps" not in ended()
    go_on.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    store.close()


async def test_a_stop_lets_a_job_end_before_what_it_works_with_is_closed(
    sources: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    began, closed = threading.Event(), threading.Event()

    class Book(EnergyBook):
        def close(self) -> None:
            super().close()
            closed.set()

    def lists(_: Sources, book: EnergyBook, giving_way: GivesWay) -> dict[str, list[Job]]:
        def validate() -> None:
            for portion in giving_way.portions([began.set, lambda: closed.wait(1.0)]):
                portion()
                book.rows("SELECT 1")

        return {"quick jobs": [], "energy book": [Job("validation", 1.0, validate)]}

    monkeypatch.setattr(jobs, "_lists", lists)
    monkeypatch.setattr(jobs, "EnergyBook", Book)
    running = asyncio.create_task(jobs.run(sources, lambda: 1.0))
    assert await asyncio.to_thread(began.wait, DEADLINE_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert closed.is_set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_meters_that_fall_silent_are_told_to_who_listens(sources: Any, clock: Any) -> None:
    status, mailbox = MeterStatus(sources), Mailbox()
    sources.live.join(mailbox, FLEET)
    with writing(sources.registry) as session:
        meters = session.scalars(select(Meter).order_by(Meter.id)).all()
        for meter in meters:
            meter.capture_period_s, meter.last_contact_at = 900, clock.now
        first = meters[0].id
    status.turn()
    clock.advance(3600)
    with writing(sources.registry) as session:
        session.get_one(Meter, first).last_contact_at = clock.now
    status.turn()
    told, _ = await mailbox.fetch()
    assert [(each.kind, each.document["meter"], each.document["status"]) for each in told] == [
        ("meter-status-change", meters[1].id, "silent")
    ]
    with writing(sources.registry) as session:
        session.get_one(Meter, meters[1].id).last_contact_at = clock.now
    status.turn()
    told, _ = await mailbox.fetch()
    assert [each.document["status"] for each in told] == ["online"]


def a_file(state: Any, import_id: str, at: datetime) -> ImportFile:
    folder = Folder(state, import_id)
    folder.make()
    folder.original.write_bytes(b"x")
    return ImportFile(
        id=import_id, kind="meters", name="f.csv", brought_by="ann", brought_at=at,
        sha256="", octets=1, reading={}, row_count=1, good_count=1, problems={},
    )  # fmt: skip


def a_report(state: Any, job: int, at: datetime) -> Report:
    folder_of(state, job).mkdir(parents=True)
    (folder_of(state, job) / SPOOL).write_bytes(b"[]")
    return Report(
        kind="audit", title="Audit", from_at=at, to_at=at, zone="UTC", row_count=0, files={},
        made_by="ann", made_at=at, job_id=job,
    )  # fmt: skip


def test_the_clean_up_takes_what_is_over_and_nothing_else(sources: Any) -> None:
    settings, registry, now = sources.settings, sources.registry, datetime.now(UTC)
    old, state = now - timedelta(days=1000), settings.state
    with writing(registry) as session:
        for number in (1, 2, 3):
            session.add(
                LongJob(
                    id=number, kind="report", title="", asked_by="ann", asked_at=now,
                    state="waiting" if number == 3 else "done",
                )
            )  # fmt: skip
        session.flush()
        session.add_all([a_file(state, "a" * 32, old), a_file(state, "b" * 32, now)])
        session.add_all([a_report(state, 1, old), a_report(state, 2, now)])
        session.flush()
        session.add_all(
            ImportReject(import_id=name * 32, row=2, problems={"cells": ["Ada"]}) for name in "ab"
        )
        for name, ends in (("gone", old), ("here", now + timedelta(days=1))):
            session.add(
                WebSession(
                    token_digest=name, username="ann", token_version=1, created_at=old,
                    expires_at=ends, source="here",
                )
            )  # fmt: skip
    for folder in (Folder(state, "c" * 32).path, folder_of(state, 3), folder_of(state, 9)):
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder, (old.timestamp(), old.timestamp()))
    (state / PERSONS).mkdir()
    for name, at in (("export-1.zip", old), ("export-2.part", old), ("export-3.zip", now)):
        (state / PERSONS / name).write_bytes(b"all data of a person")
        os.utime(state / PERSONS / name, (at.timestamp(), at.timestamp()))
    CleanUp(registry, settings, lambda: now).turn()
    CleanUp(registry, settings, lambda: now).turn()
    assert [path.name for path in (state / PERSONS).iterdir()] == ["export-3.zip"]
    assert [path.name for path in (state / "imports").iterdir()] == ["b" * 32]
    assert sorted(path.name for path in (state / "reports").iterdir()) == ["2", "3"]
    with reading(registry) as session:
        removed = {row.id[0]: row.removed_at for row in session.scalars(select(ImportFile))}
        assert removed == {"a": now, "b": None}
        assert [row.import_id[0] for row in session.scalars(select(ImportReject))] == ["b"]
        assert [row.removed_at for row in session.scalars(select(Report))] == [now, None]
        assert session.scalars(select(WebSession.token_digest)).all() == ["here"]


@pytest.mark.parametrize(
    ("state", "is_kept"), [("waiting", True), ("running", True), ("done", False)]
)
def test_the_clean_up_spares_a_file_whose_rows_are_being_entered(
    sources: Any, state: str, is_kept: bool
) -> None:
    registry, now = sources.registry, datetime.now(UTC)
    file = a_file(sources.settings.state, "a" * 32, now - timedelta(days=1000))
    with writing(registry) as session:
        session.add(
            LongJob(id=1, kind="import", title="", asked_by="ann", asked_at=now, state=state)
        )
        session.flush()
        file.job_id = 1
        session.add(file)
    CleanUp(registry, sources.settings, lambda: now).turn()
    assert Folder(sources.settings.state, "a" * 32).original.exists() is is_kept
    with reading(registry) as session:
        assert (session.get_one(ImportFile, "a" * 32).removed_at is None) is is_kept


@pytest.mark.parametrize("event_days", [0, 30])
def test_events_go_after_their_days_and_ids_of_batches_after_theirs(
    sources: Any, monkeypatch: pytest.MonkeyPatch, event_days: int
) -> None:
    monkeypatch.setattr(cleaning, "PER_QUERY", 2)
    registry, now = sources.registry, datetime.now(UTC)
    kept = sources.settings.clean_up.model_copy(update={"event_days": event_days})
    settings = sources.settings.model_copy(update={"clean_up": kept})
    with writing(registry) as session:
        for number, days in enumerate((29, 31, 32, 33, 401, 402)):
            stored_at = now - timedelta(days=days)
            session.add(
                Event(
                    id=f"{days}", gateway="gw-1", code="power.up", severity="info", text="",
                    occurred_at=now, stored_at=stored_at,
                )
            )  # fmt: skip
            session.add(
                BatchSeen(
                    gateway="gw-1", epoch="00" * 8, sequence=number, digest="", stored_at=stored_at
                )
            )
    CleanUp(registry, settings, lambda: now).turn()
    with reading(registry) as session:
        left = set(session.scalars(select(Event.id)))
        sequences = session.scalars(select(BatchSeen.sequence).order_by(BatchSeen.sequence)).all()
    assert left == ({"29"} if event_days else {"29", "31", "32", "33", "401", "402"})
    assert sequences == [0, 1, 2, 3]


@pytest.mark.parametrize("work_days", [0, 30])
def test_work_that_is_done_goes_after_its_days_and_what_is_not_stays(
    sources: Any, monkeypatch: pytest.MonkeyPatch, work_days: int
) -> None:
    monkeypatch.setattr(cleaning, "PER_QUERY", 2)
    registry, now = sources.registry, datetime.now(UTC)
    kept = sources.settings.clean_up.model_copy(update={"work_days": work_days})
    settings = sources.settings.model_copy(update={"clean_up": kept})
    old, late = now - timedelta(days=31), now - timedelta(days=29)
    of = {"meter": "M1", "profile": "1.0.99.1.0.255", "from_at": old, "to_at": old}
    gap = of | {"expected_count": 1, "cause": "unknown", "noticed_at": old}
    backfill = of | {"gateway": "gw-1", "missing_count": 1}
    asked = {"kind": "audit.note", "requested_by": "ann", "payload": {}}
    states = ("done", "in_hand", "new", "refused", "withdrawn")
    with writing(registry) as session:
        for number, (state, at) in enumerate(product(("closed", "given_up"), (old, late, old))):
            session.add(Gap(id=number, state=state, closed_at=at, backfill_id=number, **gap))
        for number, (state, at) in enumerate(product(("done", "failed", "sent"), (old, late, old))):
            session.add(Backfill(id=number, state=state, asked_at=at, **backfill))
        for number, (state, at) in enumerate(product((*states, "done"), (late, old))):
            made = {"state": state, "created_at": at, "idempotency_key": str(number)}
            session.add(Request(id=number, **made, **asked))
    CleanUp(registry, settings, lambda: now).turn()
    with reading(registry) as session:
        left = [
            session.scalars(select(row.id).order_by(row.id)).all()
            for row in (Gap, Backfill, Request)
        ]
    everything = [list(range(6)), list(range(9)), list(range(12))]
    after = [[1, 3, 4, 5], [1, 3, 4, 5, 6, 7, 8], [0, 2, 3, 4, 5, 6, 8, 10, 11]]
    assert left == (after if work_days else everything)


def test_a_clean_up_that_was_killed_before_the_files_went_is_made_good(sources: Any) -> None:
    state, now = sources.settings.state, datetime.now(UTC)
    old = now - timedelta(days=1000)
    file = a_file(state, "a" * 32, old)
    file.removed_at = now
    with writing(sources.registry) as session:
        session.add(file)
    os.utime(Folder(state, "a" * 32).path, (old.timestamp(), old.timestamp()))
    CleanUp(sources.registry, sources.settings, lambda: now).turn()
    assert not Folder(state, "a" * 32).path.exists()


@pytest.mark.parametrize(("meters_a_second", "grace_s"), [(1, 2.0), (20, 0.1), (0.1, 5.0)])
async def test_jobs_let_pages_come_back_first_where_the_fleet_is_large(
    sources: Any, monkeypatch: pytest.MonkeyPatch, meters_a_second: float, grace_s: float
) -> None:
    monkeypatch.setattr(jobs, "_METERS_PER_GRACE_S", meters_a_second)
    assert jobs.grace_s(sources) == grace_s
