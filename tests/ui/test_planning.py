"""Schedules and templates, gateways and what is asked of them, as people see and do it."""

from collections.abc import Sequence

import pytest
from console_double.firmware import PROGRAM
from console_double.people import Console, disabled, fill, press, texts, unbroken, until
from hesper_cloud.services.records import CommandRow

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same fleet, one schedule and no command."""
    console.services.start_again()


def commands(console: Console) -> Sequence[CommandRow]:
    return list(console.services.fleet.commands.values())


async def test_what_differs_from_a_schedule_is_seen_first(console: Console) -> None:
    async with console.person("vera") as vera:
        with unbroken():
            await vera.open("/plans")
            await vera.should_see("0 of 3 as desired", retries=20)
        shown = texts(vera)
        assert shown.index("gw-tcp") < shown.index("gw-serial")
        assert "Registers every 5 min" in shown
        assert "Registers every 1 min" in shown  # what the gateway reported
        assert "its file was never sent from here" in shown
        assert "New schedule…" not in shown  # a viewer looks
        await vera.open("/plans/templates")
        await vera.should_see("No template yet", retries=20)
        await vera.open("/plans/schedules/nothing")
        await vera.should_see("Nothing here under this name", retries=20)


async def test_a_schedule_is_made_changed_assigned_and_taken_back(console: Console) -> None:
    plans = console.services.plans
    async with console.person("operator") as operator:
        await operator.open("/plans")
        await press(operator, "New schedule…")
        assert disabled(operator, "Keep this version")
        await fill(operator, plan_name="Night", plan_profile_s="900")
        await press(operator, "Keep this version")
        await operator.should_see("A name is small letters, digits and hyphens, 64 at most.")
        await fill(operator, plan_name="night", plan_snapshot_s="often")
        await press(operator, "Keep this version")
        await operator.should_see("Registers every: write a number of seconds.")
        await fill(operator, plan_snapshot_s="900")
        await press(operator, "Keep this version")
        await until(lambda: ("schedule", "night") in plans.versions_of)
        await operator.open("/plans/schedules/night")
        await operator.should_see("Schedule, version 1", retries=20)
        await press(operator, "New version…")
        await fill(operator, plan_snapshot_s="", plan_note="the default will do")
        await press(operator, "Keep this version")
        await operator.should_see("Schedule, version 2", retries=20)
        await press(operator, "Assign…")
        await fill(operator, assign_gateway="gw-tcp")
        await press(operator, "Assign")
        await operator.should_see("1 of 1 as desired", retries=20)
        assert [row.query for row in plans.assigned["schedule"]] == [
            {"gateway": "gw-tcp"},
            {"area": "F-000"},
        ]
        await press(operator, "Take back…")
        await press(operator, "Take back")
        await until(lambda: len(plans.assigned["schedule"]) == 1)
    documents = [row.document for row in plans.versions_of["schedule", "night"]]
    assert documents == [{"profile_s": 900}, {"profile_s": 900, "snapshot_s": 900}]


async def test_a_version_that_comes_too_late_is_told(console: Console) -> None:
    plans = console.services.plans
    async with console.person("operator") as operator:
        await operator.open("/plans/schedules/calm")
        await operator.should_see("Schedule, version 2", retries=20)
        await press(operator, "New version…")
        rows = plans.versions_of["schedule", "calm"]
        rows.insert(0, rows[0].__class__(**{**_fields(rows[0]), "version": 3}))
        await press(operator, "Keep this version")
        await operator.should_see("Version 3 is the newest by now, not 2.")


def _fields(row: object) -> dict[str, object]:
    return {name: getattr(row, name) for name in type(row).__slots__}  # type: ignore[attr-defined]


async def test_a_template_is_kept_and_refused_where_it_is_no_toml(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/plans/templates")
        await press(operator, "New template…")
        await fill(operator, plan_name="idis-own", plan_toml="[clock\n")
        await press(operator, "Keep this version")
        await until(lambda: "Not TOML" in texts(operator))
        await fill(operator, plan_toml="[clock]\nzone = 'UTC'\n")
        await press(operator, "Keep this version")
        await until(lambda: ("template", "idis-own") in console.services.plans.versions_of)
        await operator.open("/plans/templates/idis-own")
        await operator.should_see("Meter template, version 1", retries=20)
        assert "zone = 'UTC'" in texts(operator)
        assert "Send to gateways…" not in texts(operator)


async def test_a_schedule_is_sent_where_it_is_not_followed(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/plans/schedules/calm")
        await operator.should_see("Send to gateways…", retries=20)
        await press(operator, "Send to gateways…")
        assert disabled(operator, "Ask for it")
        await fill(operator, send_reason="lines are busy")
        await press(operator, "Ask for it")
        await operator.should_see("What was asked for", retries=20)
        assert "Its present file is not known here; send one as a whole." in texts(operator)
    (command,) = commands(console)
    assert (command.kind, command.gateway, command.state) == (
        "gateway.configure", "gw-tcp", "awaiting_approval",
    )  # fmt: skip


async def test_a_gateway_tells_how_it_is_and_where_it_stands(console: Console) -> None:
    async with console.person("vera") as vera:
        with unbroken():
            await vera.open("/gateways/gw-push")
            await vera.should_see("Substation 4", retries=20)
        shown = texts(vera)
        for told in ("−109 dBm", "6 days", "214 batches", "calm 2", "No command yet"):
            assert told in shown
        assert "Your role (viewer) may look, not command." in shown
        assert "Restart…" not in shown
        await vera.open("/gateways/gw-none")
        await vera.should_see("Nothing here under this name", retries=20)


async def test_a_restart_asks_for_a_reason_and_is_seen_on_its_way(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/gateways/gw-tcp")
        await press(operator, "Restart…")
        assert disabled(operator, "Ask for the restart")
        await fill(operator, gateway_reason="stuck line")
        for _ in range(3):
            await press(operator, "Ask for the restart")
        await operator.should_see("Restart the gateway", retries=20)
    (command,) = commands(console)
    assert (command.kind, command.meter, command.gateway, command.reason) == (
        "gateway.restart", "", "gw-tcp", "stuck line",
    )  # fmt: skip


async def test_a_configuration_begins_with_the_file_in_force(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/gateways/gw-tcp")
        await press(operator, "Configure…")
        await fill(operator, gateway_reason="calmer")
        assert disabled(operator, "Ask for this file")  # nothing of it was changed
        await fill(operator, gateway_toml="profile_s = = 1")
        await press(operator, "Ask for this file")
        await until(lambda: "This is no TOML" in texts(operator))
        await fill(operator, gateway_toml='gateway = "gw-tcp"\n')
        await press(operator, "Ask for this file")
        await until(lambda: bool(commands(console)))
        await operator.open("/gateways/gw-serial")
        await press(operator, "Configure…")
        await operator.should_see("Its present file is not known here: bring it as a whole.")
    (command,) = commands(console)
    assert command.parameters == {"toml": 'gateway = "gw-tcp"\n'}
    assert command.state == "awaiting_approval"


async def test_an_update_takes_an_image_for_gateways(console: Console) -> None:
    async with console.person("operator") as operator, console.person("approver") as approver:
        await operator.open("/gateways/gw-tcp")
        await press(operator, "Update…")
        await fill(operator, gateway_image=PROGRAM, gateway_reason="the fix of June")
        await press(operator, "Ask for the update")
        await until(lambda: bool(commands(console)))
        await approver.open("/commands")
        await approver.should_see("Update the gateway to ", retries=20)
        assert "gw-tcp" in texts(approver)
    assert commands(console)[0].parameters == {"image": PROGRAM, "version": "0.2.0"}


async def test_what_is_under_way_in_batches_is_counted_and_said(console: Console) -> None:
    console.services.batched = 1_200
    async with console.person("operator") as operator:
        await operator.open("/")
        await operator.should_see("Commands under way", retries=20)
        assert "1,200 of them in batches · none awaiting approval" in texts(operator)
        await operator.open("/commands")
        await operator.should_see("1,200 of them in batches", retries=20)
        assert "1,200 commands" in texts(operator)
        assert "Nothing is under way" not in texts(operator)
