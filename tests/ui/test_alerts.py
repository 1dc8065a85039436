"""Alerts by root cause, one by one and many at once, and where they are delivered."""

import asyncio
from dataclasses import replace

import pytest
from console_double.people import Console, fill, press, texts, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same fleet."""
    console.services.start_again()


def storm(console: Console):
    """Puts a storm into the fleet, with two alerts hidden below it."""
    rows = console.services.fleet.alerts
    parent = replace(
        rows[0], id=900, rule="storm/silent-meter", meter=None, gateway=None, element="F0",
        text="Feeder North (F0): 2000 of 2000 meters, silent meter.", severity="critical",
        group="element/F0/silent-meter", priority=798, affected_count=2000, state="new",
        extent={"parts": [{"name": "transformer T0-1", "meters": 50}]},
    )  # fmt: skip
    below = [
        replace(rows[0], id=901 + n, rule="silent-meter", text=f"Hidden {n}", parent=900,
                suppressed=True, group=parent.group, state="new")
        for n in range(2)
    ]  # fmt: skip
    rows.extend([parent, *below])
    return parent


def change(user, attribute: str, value: str, event: str) -> None:
    """Lets the one element with this attribute tell that it has changed."""
    elements = user.client.elements.values()
    (element,) = (each for each in elements if each.props.get(attribute) == value)
    (listener,) = element._event_listeners.values()
    assert listener.type == event
    with user:
        element._handle_event({"listener_id": listener.id, "args": []})


async def test_a_storm_is_one_line_that_leads_to_what_is_hidden_below_it(console):
    storm(console)
    async with console.person("operator") as user:
        await user.open("/alerts")
        await user.should_see("Part of the grid F0", retries=20)
        assert "Hidden 0" not in texts(user)
        assert "2,000 customers" in texts(user)
        await user.open("/alerts/900")
        await user.should_see("Hidden below this alert", retries=20)
        shown = texts(user)
        assert ("Hidden 0" in shown, "transformer T0-1" in shown) == (True, True)
        await user.open("/alerts/77777")
        await user.should_see("Nothing here under this name", retries=20)
        await user.open("/alerts/nothing")
        await user.should_see("Nothing here under this name", retries=20)


async def test_a_list_that_stayed_as_it_was_is_not_drawn_again(console, monkeypatch):
    """Hundreds of pages ask every quarter of a minute: drawn anew each time they take it all."""
    service, looks = console.services.alerts, []
    rates = service.rates

    async def counted(*asked):
        looks.append(asked)
        return await rates(*asked)

    monkeypatch.setattr(service, "rates", counted)
    async with console.person("operator") as user:
        await user.open("/alerts")
        await user.should_see("By cause, worst first", retries=20)
        elements = user.client.elements
        before, seen = set(elements), len(looks)
        change(user, "data-watch", "alerts", "changed")
        await until(lambda: len(looks) > seen)
        await asyncio.sleep(0.02)
        assert set(elements) == before


async def test_an_alert_is_shelved_with_a_reason_and_taken_back(console):
    parent = storm(console)
    fleet = console.services.fleet

    def state() -> str:
        return next(row.state for row in fleet.alerts if row.id == parent.id)

    async with console.person("operator") as user:
        await user.open("/alerts/900")
        await user.should_see("Shelve…", retries=20)
        await press(user, "Shelve…")
        await fill(user, shelve_hours="24", shelve_reason="crew at work")
        await press(user, "Shelve")
        await until(lambda: state() == "shelved")
        await user.should_see("shelved by operator: crew at work", retries=20)
        await user.open("/alerts?state=shelved")
        await user.should_see("Feeder North", retries=20)
        await press(user, "Take off the shelf")
        await until(lambda: state() == "new")


async def test_an_alert_is_given_to_somebody_and_noted(console):
    storm(console)
    fleet = console.services.fleet
    async with console.person("operator") as user:
        await user.open("/alerts/900")
        await user.should_see("Give to…", retries=20)
        await press(user, "Give to…")
        await fill(user, alert_person="approver")
        await press(user, "Give")
        await until(lambda: any(row.assigned_to == "approver" for row in fleet.alerts))
        await press(user, "Note…")
        await fill(user, alert_note="<b>called</b> the crew")
        await press(user, "Note")
        await user.should_see("<b>called</b> the crew", retries=20)
        await user.should_see("Seen to by", retries=20)
    async with console.person("approver") as user:
        await user.open("/alerts?mine=1")
        await user.should_see("Feeder North", retries=20)


async def test_all_that_match_are_counted_and_then_acknowledged(console):
    fleet = console.services.fleet

    def new(severity: str) -> int:
        return sum(row.severity == severity and row.state == "new" for row in fleet.alerts)

    count = new("critical")
    async with console.person("operator") as user:
        await user.open("/alerts?state=new&severity=critical")
        await user.should_see("Marked, else all that match:", retries=20)
        await press(user, "Acknowledge")
        await user.should_see(f"Acknowledge: {count} alert", retries=20)
        await press(user, "Acknowledge")
        await until(lambda: not new("critical"))
        assert new("warning")


async def test_only_alerts_that_can_be_acknowledged_are_counted(console):
    fleet = console.services.fleet
    fleet.alerts[0] = replace(fleet.alerts[0], state="acknowledged")
    count = sum(row.state == "new" for row in fleet.alerts)
    async with console.person("operator") as user:
        await user.open("/alerts")
        await press(user, "Acknowledge")
        await user.should_see(f"Acknowledge: {count} alert")
        fleet.alerts[:] = [replace(row, state="acknowledged") for row in fleet.alerts]
        await user.open("/alerts")
        await press(user, "Acknowledge")
        await user.should_see("There is no alert to which this can be done")


async def test_marked_alerts_that_have_gone_do_not_widen_to_all_that_match(console):
    parent, fleet = storm(console), console.services.fleet
    async with console.person("operator") as user:
        await user.open("/alerts")
        await user.should_see("Feeder North")
        change(user, "aria-label", f"Mark: {parent.text}", "change")
        fleet.alerts[:] = [row for row in fleet.alerts if row.id != parent.id]
        change(user, "data-watch", "alerts", "changed")
        await user.should_not_see("Feeder North")
        await press(user, "Give")
        await user.should_see("What was marked is not in the list any more")
        assert "Give: " not in texts(user)
        await press(user, "Give")
        await user.should_see("Give: ")


async def test_all_that_match_are_given_to_one_person(console):
    fleet = console.services.fleet
    async with console.person("operator") as user:
        await user.open("/alerts?severity=warning")
        await press(user, "Give")
        await fill(user, alert_person="approver")
        await press(user, "Give")
        await until(
            lambda: (
                {row.severity for row in fleet.alerts if row.assigned_to == "approver"}
                == {"warning"}
            )
        )


async def test_a_viewer_looks_and_does_nothing(console):
    storm(console)
    async with console.person("vera") as user:
        await user.open("/alerts")
        await user.should_see("Feeder North", retries=20)
        assert not {"Shelve…", "Acknowledge…", "Delivery"} & set(texts(user).splitlines())
        await user.open("/alerts/delivery")
        await user.should_see("Not open to your role", retries=20)


async def test_a_webhook_is_made_its_secret_shown_once_tried_and_removed(console):
    kept = console.services.delivery
    async with console.person("admin") as user:
        await user.open("/alerts/delivery")
        await user.should_see("Alerts are delivered nowhere yet", retries=20)
        await press(user, "Add webhook…")
        await fill(user, target_name="ops", target_url="https://example.com/a b")
        await press(user, "Keep")
        await user.should_see("plain ASCII is expected", retries=20)
        await fill(user, target_url="https://example.com/alerts")
        await press(user, "Keep")
        await user.should_see("a-secret-shown-once", retries=20)
        await press(user, "I have it")
        await press(user, "New route…")
        await fill(user, route_name="nights", route_begin="22:00", route_end="06:00")
        await press(user, "Keep")
        await user.should_see("quiet 22:00 to 06:00", retries=20)
        await press(user, "Send a test")
        await until(lambda: len(kept.log) == 1)
        await user.should_see("takes messages", retries=20)


async def test_a_mail_server_is_kept_with_its_password_out_of_sight(console):
    kept = console.services.delivery
    async with console.person("admin") as user:
        await user.open("/alerts/delivery")
        await user.should_see("Add mail…", retries=20)
        await press(user, "Add mail…")
        await fill(
            user, target_name="shift", target_host="mail.example.com", target_username="hesper",
            target_password="not to be seen", target_sender="hesper@example.com",
            target_recipients="a@example.com, b@example.com",
        )  # fmt: skip
        await press(user, "Keep")
        await until(lambda: bool(kept.kept))
        await user.should_see("a@example.com, b@example.com by mail.example.com", retries=20)
        assert "not to be seen" not in texts(user)
