"""Import, Reports and Jobs in NiceGUI's user simulation."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from console_double.fleet import SCRIPT
from console_double.longer import LongerWork
from console_double.people import Console, disabled, fill, press, texts, until
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import writing
from hesper_cloud.db.imports import ImportFile
from hesper_cloud.imports.trying import Brought
from hesper_cloud.services.jobs import NEWEST, JobRow
from hesper_cloud.services.report_records import ReportWish, ScheduleWish
from hesper_ui import tongues
from hesper_ui.views.wording import retold
from hesper_ui.words import speaking

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPERATOR = Actor("operator", Role.OPERATOR)
FILE = f"meterNumber,area,port\nM-1,North,4059\nM-2,Atlantis,{SCRIPT}\nM-3,,\n".encode()


@pytest.fixture(autouse=True)
def work(console: Console) -> LongerWork:
    """Every test begins with no file and no job."""
    console.services.start_again()
    return console.services.long_work


async def tried(work: LongerWork) -> str:
    file = await work.imports.try_file(OPERATOR, Brought("meters", f"June {SCRIPT}.csv", FILE))
    return file.id


async def test_a_file_is_tried_shown_row_by_row_and_applied(
    console: Console, work: LongerWork
) -> None:
    import_id = await tried(work)
    async with console.person("operator") as user:
        await user.open("/import")
        await user.should_see("1. Take a template", retries=20)
        await user.should_see(f"June {SCRIPT}.csv", retries=20)
        assert "tried, not applied" in texts(user)
        await user.open(f"/import/{import_id}")
        await user.should_see("Apply 2 rows", retries=20)
        shown = texts(user)
        for words in ("unknown area", "create the area first", "not a port", SCRIPT[:80]):
            assert words in shown
        work.held = True
        await press(user, "Apply 2 rows")
        await user.should_see("You may leave this page; the job goes on.", retries=50)
        work.held = False
        work.begin()
        await user.open("/jobs")
        await user.should_see("Long jobs, newest first", retries=20)
        await until(lambda: "2 of 2" in texts(user))
        await user.open(f"/import/{import_id}")
        await user.should_see("2 entered, 0 refused when they were applied", retries=50)


async def test_a_file_that_changes_what_is_there_shows_each_field(
    console: Console, work: LongerWork
) -> None:
    first = await tried(work)
    await work.imports.apply(OPERATOR, first)
    octets = b"meterNumber,port\nM-1,4060\nM-9,\n"
    brought = Brought("meters", "again.csv", octets, existing="update")
    async with console.person("operator") as user:
        await user.open(f"/import/{first}")
        await user.should_see("2 entered, 0 refused when they were applied", retries=50)
        file = await work.imports.try_file(OPERATOR, brought)
        await user.open(f"/import/{file.id}")
        await user.should_see("What the rows change", retries=20)
        shown = texts(user)
        for words in ("1 change what is there", "M-1", "port", "4059", "4060"):
            assert words in shown


async def test_of_a_file_that_was_removed_nothing_is_called_right(
    console: Console, work: LongerWork
) -> None:
    import_id = await tried(work)
    with writing(work.registry) as session:
        session.get_one(ImportFile, import_id).removed_at = datetime.now(UTC)
    async with console.person("operator") as user:
        await user.open("/import")
        await user.should_see("removed, not applied", retries=20)
        await user.open(f"/import/{import_id}")
        await user.should_see("The rows of this file are gone", retries=20)
        shown = texts(user)
        assert "unknown area" in shown, "what the dry run counted is known"
        assert "No mistake was found" not in shown
        assert "Apply 2 rows" not in shown


async def test_who_only_looks_has_no_form_and_no_button(console: Console, work: LongerWork) -> None:
    import_id = await tried(work)
    async with console.person("vera") as user:
        await user.open(f"/import/{import_id}")
        await user.should_see("Not open to your role", retries=20)
        await user.open("/reports")
        await user.should_see("What operators ask for is kept here.", retries=20)
        assert "Make it" not in texts(user)


async def test_jobs_show_their_last_run_and_are_ended(console: Console, work: LongerWork) -> None:
    work.held = True
    await work.imports.apply(OPERATOR, await tried(work))
    async with console.person("operator") as user:
        await user.open("/jobs")
        await user.should_see("On a schedule", retries=20)
        shown = texts(user)
        for words in ("clean-up", "every day", "every 30 s", "every 5 min", "1.5 s", "put off"):
            assert words in shown
        assert user.client is not None
        moments = [e.props for e in user.client.elements.values() if "data-style" in e.props]
        assert [each["data-style"] for each in moments] == ["date", "time", "time"], "tomorrow's"
        await press(user, "End")
        await user.should_see("Go on", retries=50)
        await press(user, "Go on")
        await user.should_see("End", retries=50)
    rows, _ = await work.jobs.page(OPERATOR, None, NEWEST)
    assert rows[0].state == "waiting"


async def test_a_report_is_asked_for_and_kept(console: Console, work: LongerWork) -> None:
    async with console.person("operator") as user:
        await user.open("/reports")
        await user.should_see("No report yet", retries=20)
        await fill(user, report_kind="silent-meters", report_first="2026-06-01")
        await fill(user, report_last="2026-06-07")
        await press(user, "Make it")
        await user.should_see("Made, newest first", retries=100)
        assert "2026-06-01 – 2026-06-07" in texts(user)
        made, _ = await work.reports.page(OPERATOR, NEWEST)
        assert (made[0].kind, made[0].row_count) == ("silent-meters", 1)


async def test_however_often_it_is_clicked_a_report_is_ordered_once(
    console: Console, work: LongerWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, let = [], asyncio.Event()
    ask = work.reports.ask

    async def slowly(*wanted: Any) -> JobRow:
        asked.append(wanted)
        await let.wait()
        return await ask(*wanted)

    monkeypatch.setattr(work.reports, "ask", slowly)
    async with console.person("operator") as user:
        await user.open("/reports")
        await user.should_see("Make it")
        await press(user, "Make it")
        await press(user, "Make it")
        await until(lambda: bool(asked))
        assert disabled(user, "Make it")
        let.set()
        await until(lambda: not disabled(user, "Make it"))
        assert len(asked) == 1


async def test_the_title_of_a_report_s_job_is_said_in_the_operator_s_language(
    work: LongerWork,
) -> None:
    work.held = True
    wish = ReportWish("consumption", date(2026, 11, 1), date(2026, 11, 7), "UTC")
    await work.reports.ask(OPERATOR, wish)
    rows, _ = await work.jobs.page(OPERATOR, None, NEWEST)
    assert rows[0].title == "Consumption, 2026-11-01 to 2026-11-07"
    with speaking(tongues.tongue("de")):
        assert retold(rows[0].title) == "Verbrauch, 2026-11-01 bis 2026-11-07"


async def test_a_report_comes_every_week_is_changed_rests_and_ends(
    console: Console, work: LongerWork
) -> None:
    async with console.person("approver") as user:
        await user.open("/reports")
        await user.should_see("No schedule yet")
        await press(user, "New schedule…")
        await fill(user, schedule_kind="consumption", schedule_every="week", schedule_at="25:00")
        await press(user, "Keep")
        await user.should_see("A schedule has a name.")
        await fill(user, schedule_name="billing")
        await press(user, "Keep")
        await user.should_see("Write the time of day like 06:00.")
        await fill(user, schedule_at="6:30", schedule_zone="UTC")
        await press(user, "Keep")
        await user.should_see("Every Monday at 06:30, UTC")
        await press(user, "Change…")
        await fill(user, schedule_every="month", schedule_state="rests")
        await press(user, "Change")
        await user.should_see("Every month at 06:30, UTC")
        assert "rests" in texts(user)
        (row,) = await work.reports.schedules(OPERATOR)
        assert (row.name, row.at_minute, row.enabled, row.version) == ("billing", 390, False, 2)
        await press(user, "Remove…")
        await user.should_see("Remove billing?")
        await press(user, "Remove")
        await user.should_see("No schedule yet")


async def test_who_sees_no_mail_targets_leaves_a_schedule_s_own(
    console: Console, work: LongerWork
) -> None:
    with writing(work.registry) as session:
        about = {"kind": "email", "config": {}, "made_by": "admin", "changed_at": datetime.now(UTC)}
        session.add(DeliveryTarget(name="shift-mail", **about))
    wish = ScheduleWish("nightly", "commands", "day", 60, "UTC", target="shift-mail")
    await work.reports.add_schedule(OPERATOR, wish)
    async with console.person("operator") as user:
        await user.open("/reports")
        await user.should_see("shift-mail")
        await press(user, "Change…")
        await fill(user, schedule_name="nightly-2")
        await press(user, "Change")
        await until(lambda: "nightly-2" in texts(user))
        (row,) = await work.reports.schedules(OPERATOR)
        assert (row.name, row.target) == ("nightly-2", "shift-mail")
