"""Events, rules and outages in NiceGUI's user simulation."""

import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from console_double.people import Console, press, texts, until
from hesper_cloud.paging import BadPage
from hesper_ui.pages import events, rule_trial
from hesper_ui.services import Actor, Role
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same fleet and no rule of anybody's."""
    console.services.start_again()


def fill(user, **values: str) -> None:
    for name, value in values.items():
        next(iter(user.find(marker=f"rule-{name.replace('_', '-')}").elements)).value = value


async def test_events_are_filtered_by_group_and_wait_while_one_reads(console):
    async with console.person("vera") as user:
        await user.open("/events?group=power")
        await user.should_see("Power down", retries=20)
        assert "Make a rule" not in texts(user)  # a viewer keeps no rules
        assert "Voltage sag L2, 202.4 V for 1.8 s" not in texts(user)
        await user.open("/events?group=invented")
        await user.should_see("There is no such filter.", retries=20)
        await user.open("/events?from=yesterday")
        await user.should_see("A day is written like 2026-11-17.", retries=20)
        await user.open("/events?to=9999-12-31")
        await user.should_see("A day is written like 2026-11-17.", retries=20)


async def test_a_place_in_another_list_is_refused_and_the_page_does_not_wait_for_ever(
    console, monkeypatch
):
    async def page(*_told):
        raise BadPage("this cursor is not one that this list gave; begin again without it")

    monkeypatch.setattr(console.services.events, "page", page)
    async with console.person("vera") as user:
        await user.open("/events?cursor=of-another")
        await user.should_see("This page could not be loaded", retries=20)
        assert "This cursor is not one that this list gave" in texts(user)


async def test_days_of_events_are_those_of_the_utilitys_calendar(console, monkeypatch):
    services, asked = console.services, []

    async def page(actor, wanted, _page):
        asked.append((wanted.start, wanted.end))
        return [], None

    monkeypatch.setattr(services.events, "page", page)
    today = lambda: (date(2026, 11, 22), "Pacific/Auckland")  # noqa: E731
    monkeypatch.setattr(services.reports, "today", today)
    days = "from=2026-09-26&to=2026-09-27"  # the second has 23 hours there
    start, end = datetime(2026, 9, 25, 12, tzinfo=UTC), datetime(2026, 9, 27, 11, tzinfo=UTC)
    async with console.person("vera") as user:
        await user.open(f"/events?{days}")
        await user.should_see("00:00 to 24:00 in Pacific/Auckland", retries=20)
        await user.http_client.get(f"/console/events.csv?{days}")
        assert user.client is not None
        told = [
            e.props["data-asked"] for e in user.client.elements.values() if "data-asked" in e.props
        ]
    assert set(asked) == {(start, end)}
    (span,) = map(json.loads, told)
    assert (span["start"], span["end"]) == (start.timestamp() * 1000, end.timestamp() * 1000)


async def test_what_comes_while_one_reads_is_counted_and_not_drawn(console):
    services = console.services
    async with console.person("vera") as user:
        await user.open("/events")
        await user.should_see("Hold", retries=20)
        await press(user, "Hold")
        await user.should_see("Paused while you read; nothing new.", retries=20)
        fleet = services.fleet
        row = fleet.events(next(iter(fleet.meters)))[0]
        at = fleet.now + timedelta(seconds=5)
        services.events.more = [replace(row, id="late", text="Came while held", occurred_at=at)]
        await press(user, "Go on")
        await user.should_see("Came while held", retries=20)


async def test_older_events_are_a_page_further_and_have_come_to_rest(console, monkeypatch):
    monkeypatch.setattr(events, "MOST", 5)
    async with console.person("vera") as user:
        await user.open("/events?group=power&cursor=5")
        await user.should_see("Newest first")
        assert "Hold" not in texts(user)
        await user.should_see("Newest")
        await user.should_see("Next page")
        await user.open("/events?group=power")
        await user.should_see("Next page")
        await user.should_see("Hold")


async def test_the_export_is_by_the_same_filters_and_holds_no_formula(console):
    services, fleet = console.services, console.services.fleet
    row = fleet.events(next(iter(fleet.meters)))[0]
    services.events.more = [replace(row, id="evil", text="=1+1", code="power.down")]
    async with console.person("vera") as user:
        answer = await user.http_client.get("/console/events.csv?code=power.down")
        rows = list(csv.DictReader(answer.text.splitlines()))
        assert answer.headers["content-type"].startswith("text/csv")
        assert {row["code"] for row in rows} == {"power.down"}
        assert next(row["text"] for row in rows if row["id"] == "evil").startswith("'")
        wrong = await user.http_client.get("/console/events.csv?group=invented")
        assert wrong.status_code == 422


async def test_a_rule_is_made_from_an_event_tried_saved_and_switched_on(console):
    rules = console.services.rules
    async with console.person("approver") as user:
        await user.open("/rules/new?code=tamper.cover_opened&severity=critical")
        await user.should_see("New rule", retries=20)
        fill(user, id="cover-opened", count="2", within_s="600")
        await press(user, "Try")
        await user.should_see("2 alerts at 1 of 60 meters or places", retries=20)
        await user.should_see("254.1 V")
        assert rules.definitions[-1].condition.codes == ("tamper.cover_opened",)
        await press(user, "Save as the next version")
        await until(lambda: "cover-opened" in rules.rows)
        said = rules.kept[-1].definition
        assert (said["severity"], said["condition"]["count"]) == ("critical", 2)
        await user.open("/rules/cover-opened")
        await user.should_see("Switch on…", retries=20)
        await press(user, "Switch on…")
        await user.should_see("What it has raised is cleared, and it begins anew.", retries=20)
        await press(user, "Switch")
        await until(lambda: rules.rows["cover-opened"].state == "on")
        await user.open("/rules/cover-opened")
        shown = rules.rows["cover-opened"]
        rules.rows["cover-opened"] = replace(shown, version=shown.version + 1)
        await press(user, "Switch off…")
        await press(user, "Switch")
        await user.should_see("This rule was edited meanwhile.", retries=20)
        assert rules.rows["cover-opened"].state == "on"
        await user.open("/rules/cover-opened?version=2")
        await press(user, "Delete…")
        await user.should_see("Delete the rule Tamper cover opened?")
        await user.should_see("Keep the rule")
        await press(user, "Delete")
        await until(lambda: "cover-opened" not in rules.rows)
        await user.open("/rules/voltage")
        await user.should_see("Voltage")
        assert "Delete…" not in texts(user)  # what is code stays


async def test_a_trial_that_became_a_job_is_drawn_when_it_has_ended(console, monkeypatch):
    rules = console.services.rules
    rules.job = 7
    monkeypatch.setattr(rule_trial, "LOOK_EVERY_S", 0.1)
    async with console.person("approver") as user:
        await user.open("/rules/new?code=tamper.cover_opened")
        await user.should_see("New rule", retries=20)
        await press(user, "Try")
        await user.should_see("Job 7", retries=20)
        rules.job = None
        await user.should_see("2 alerts at 1 of 60 meters or places", retries=20)
        await user.should_not_see("Job 7")


async def test_what_is_no_rule_is_told_by_its_field_and_not_saved(console):
    async with console.person("approver") as user:
        await user.open("/rules/new")
        await user.should_see("New rule", retries=20)
        fill(user, id="high", title="High", limit="many")
        await press(user, "Save as the next version")
        await user.should_see("Condition.threshold.limit", retries=20)
        assert console.services.rules.kept == []
        fill(user, limit="253,5", hysteresis="3")
        await press(user, "Save as the next version")
        await until(lambda: bool(console.services.rules.kept))
        assert console.services.rules.kept[-1].definition["condition"]["limit"] == "253.5"


async def test_a_rule_is_told_that_the_database_does_not_answer(console):
    async with console.person("approver") as user:
        await user.open("/rules/new?code=tamper.cover_opened")
        await user.should_see("New rule", retries=20)
        fill(user, id="cover-opened")
        for words in ("Try", "Save as the next version"):
            console.services.down = OperationalError("SELECT 1", {}, Exception("locked"))
            await press(user, words)
            await user.should_see("The database does not answer.", retries=20)
            console.services.down = False
            await press(user, words)
            await user.should_not_see("The database does not answer.", retries=20)
        await until(lambda: "cover-opened" in console.services.rules.rows)


async def test_every_kind_of_condition_has_a_form_that_makes_a_rule(console):
    kinds = {
        "threshold": {"limit": "253"},
        "rate": {"limit": "100"},
        "absence": {},
        "event": {"codes": "power.down"},
        "sequence": {"first": "power.down", "then": "power.up", "followed": "no"},
        "aggregate": {"logical_name": "1.0.1.7.0.255", "limit": "5000"},
    }
    async with console.person("approver") as user:
        for kind, values in kinds.items():
            await user.open("/rules/new")
            await user.should_see("New rule", retries=20)
            fill(user, id=kind, title=kind, kind=kind)
            fill(user, **values)
            await press(user, "Save as the next version")
            await until(lambda kind=kind: kind in console.services.rules.rows)
            assert console.services.rules.rows[kind].kind == kind
        await user.open("/rules")
        await user.should_see("Voltage L1 above 253")
        for words in (
            "Voltage L1 rises or falls by more than 100 per hour",
            "no contact for 1 h",
            "1 × power.down within 1 h",
            "power.down without power.up within 1 h",
            "mean of Active power import above 5000, by area",
        ):
            assert words in texts(user)
    sequence = console.services.rules.rows["sequence"].definition["condition"]
    assert (sequence["followed"], sequence["ends_after_s"]) == (False, 86_400)


async def test_how_long_what_is_late_counts_outlives_an_edit(console):
    condition = {"kind": "threshold", "logical_name": "1.0.32.7.0.255", "limit": "253"}
    rules, by = console.services.rules, Actor("approver", Role.APPROVER)
    said = rules.understood({"title": "High", "condition": condition, "fresh_s": 86_400})
    await rules.save(by, "high", said, "by REST", None)
    async with console.person("approver") as user:
        await user.open("/rules/high")
        await user.should_see("Save as the next version", retries=20)
        fill(user, limit="254")
        await press(user, "Save as the next version")
        await until(lambda: len(rules.kept) == 2)
    assert rules.kept[-1].definition == rules.kept[0].definition | {
        "condition": rules.kept[0].definition["condition"] | {"limit": "254"}
    }


async def test_an_older_version_is_shown_in_the_form(console):
    async with console.person("approver") as user:
        for limit in ("253", "260"):
            await user.open("/rules/new" if limit == "253" else "/rules/high")
            await user.should_see("Save as the next version", retries=20)
            if limit == "253":
                fill(user, id="high", title="High")
            fill(user, limit=limit)
            await press(user, "Save as the next version")
            await until(lambda limit=limit: limit in str(console.services.rules.kept[-1:]))
        await user.open("/rules/high?version=1")
        await user.should_see("Show in the form", retries=20)
        assert next(iter(user.find(marker="rule-limit").elements)).value == "253"


async def test_rules_that_are_code_show_their_thresholds(console):
    async with console.person("approver") as user:
        await user.open("/rules")
        await user.should_see("Voltage outside its band", retries=20)
        assert "Nominal voltage 230 V, Tolerance 10 %" in texts(user)
        await user.open("/rules/silent-meter")
        await user.should_see("set in cloud.toml, [rules]", retries=20)
        assert "Switch off…" not in texts(user)
        await user.open("/rules/voltage")
        await user.should_see("Switch off…", retries=20)
        fill(user, voltage_tolerance_percent="6")
        await press(user, "Save as the next version")
        await until(lambda: bool(console.services.rules.kept))
        thresholds = console.services.rules.kept[-1].definition["condition"]["thresholds"]
        assert thresholds == {"nominal_voltage_v": 230, "voltage_tolerance_percent": 6}


async def test_who_may_not_edit_sees_rules_and_no_button(console):
    async with console.person("vera") as user:
        await user.open("/rules/voltage")
        await user.should_see("Voltage outside its band", retries=20)
        assert not {"Save as the next version", "Switch off…", "Try"} & set(texts(user))


async def test_an_outage_shows_who_has_power_again(console):
    async with console.person("vera") as user:
        await user.open("/outages")
        await user.should_see("feeder Mill road", retries=20)
        await user.open("/outages/7")
        await user.should_see("1 of 3 meters have power again", retries=20)
        assert "its own word" in texts(user)
        await user.open("/outages/8")
        await user.should_see("Nothing here under this name", retries=20)


async def test_an_outage_of_a_town_shows_the_first_of_its_meters_and_says_so(console):
    console.services.outages.more = 12_000
    async with console.person("vera") as user:
        await user.open("/outages/7")
        said = "the first 200 of 12,003, those without power before others"
        await user.should_see(said, retries=20)
        assert texts(user).count("TOWN") == 198
        assert "its own word" not in texts(user), "the one with power again comes last"
