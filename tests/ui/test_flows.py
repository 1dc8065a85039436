"""Pages and dialogs in NiceGUI's user simulation: what a person sees and can do."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime

import httpx
import pytest
from console_double.fleet import LONG, SCRIPT, Fleet
from console_double.people import HOW_OLD, Console, disabled, press, texts, until
from console_double.services import PASSWORD
from hesper_cloud.services.records import Series
from hesper_cloud.stores.errors import StoreUnavailable
from nicegui import ui
from nicegui.testing import User
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.asyncio(loop_scope="module")
METER, TAIL = "HES12643021", "3021"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same fleet and no command."""
    console.services.start_again()


async def open_dialog(user: User) -> None:
    await user.open(f"/meters/{METER}")
    await user.should_see("Disconnect supply…", retries=20)
    await press(user, "Disconnect supply…")
    await user.should_see(f"Disconnect supply to {METER}?")


async def fill_in(user: User, reason: str, tail: str) -> None:
    next(iter(user.find(kind=ui.select).elements)).value = reason
    next(iter(user.find(marker="serial-tail").elements)).value = tail


async def test_without_a_session_every_page_leads_to_the_sign_in(console):
    transport = console._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/", "/meters", f"/meters/{METER}", "/alerts", "/gateways", "/commands"):
            answer = await client.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login?next=")


async def test_the_overview_shows_figures_and_what_needs_a_person(console):
    async with console.person("operator") as user:
        await user.open("/")
        await user.should_see("Meters online", retries=20)
        await user.should_see("Terminal cover opened", retries=20)
        assert "Gateway gw-push is offline; 8 meters behind it" in texts(user)


async def test_the_overview_says_how_many_causes_it_does_not_show(console):
    fleet = console.services.fleet
    fleet.alerts = [replace(fleet.alerts[0], id=n, rule=f"rule-{n}") for n in range(9)]
    async with console.person("operator") as user:
        await user.open("/")
        await user.should_see("2 more causes")


async def test_a_meter_is_not_called_online_while_the_broker_is_lost(console):
    async with console.person("operator") as user:
        console.services.broker_lost_since = datetime.now(UTC)
        await user.open(f"/meters/{METER}")
        await user.should_see("Online, stale", retries=20)
        assert "Online" not in texts(user).splitlines()


async def test_what_could_not_be_looked_at_again_stays_and_offers_a_retry(console):
    async with console.person("operator") as user:
        await user.open("/events")
        await user.should_see("Newest first")
        await press(user, "Hold")
        await user.should_see("Paused while you read")
        console.services.down = True
        await press(user, "Go on")
        await user.should_see("Not up to date:")
        assert "Newest first" in texts(user)
        console.services.down = False
        await press(user, "Try again")
        await user.should_not_see("Not up to date:")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            StoreUnavailable("InfluxDB at 10.0.0.7 refuses"),
            "The store of readings does not answer.",
        ),
        (OperationalError("SELECT 1", {}, Exception("locked")), "The database does not answer."),
    ],
)
async def test_what_does_not_answer_is_named_on_the_page_and_asked_again(console, error, said):
    async with console.person("operator") as user:
        console.services.down = error
        await user.open("/gateways")
        await user.should_see(said)
        assert not [text for text in texts(user) if "10.0.0.7" in text or "SELECT" in text]
        console.services.down = False
        await press(user, "Try again")
        await user.should_see("gw-push")
        await user.open("/events")
        await user.should_see("Newest first")
        await press(user, "Hold")
        console.services.down = error
        await press(user, "Go on")
        await user.should_see(f"Not up to date: {said}")


async def test_an_empty_fleet_gets_first_steps(console):
    console.services.fleet = Fleet(0)
    async with console.person("operator") as user:
        for page in ("/", "/meters"):
            await user.open(page)
            await user.should_see("No meter has reported yet", retries=20)
            assert texts(user).count(" · done") == 2, "a gateway is let in, and was heard"


async def test_a_meter_that_is_not_there_is_said_to_be_so(console):
    async with console.person("operator") as user:
        await user.open("/meters/NOBODY")
        await user.should_see("Nothing here under this name", retries=20)


async def test_a_day_behind_the_end_of_the_archive_is_said_to_be_there(console, monkeypatch):
    fleet, left = console.services.fleet, datetime(2026, 4, 1, tzinfo=UTC)
    empty = Series("1.0.1.8.0.255", [], [], [], 0, 30, "Wh", archived_before=left)
    monkeypatch.setattr(fleet, "series", lambda *_: empty)
    monkeypatch.setattr(fleet, "gaps", lambda *_: [])
    async with console.person("operator") as user:
        await user.open(f"/meters/{METER}?day=2026-03-03")
        said = "Readings before 1 April 2026 are in the archive and not shown here."
        await user.should_see(said, retries=20)
        assert "No load profile yet" not in texts(user)


async def test_a_table_of_a_load_profile_says_how_many_of_its_rows_it_shows(console, monkeypatch):
    monkeypatch.setattr(console.services.fleet, "gaps", lambda *_: [])
    async with console.person("operator") as user:
        await user.open(f"/meters/{METER}")
        await user.should_see("Load profile", retries=20)
        assert "the newest" not in texts(user), "the chart shows all of them"
        await press(user, "Table")
        await user.should_see("7 days · complete · the newest 200 of 672 rows", retries=20)
        await press(user, "24 h")
        await user.should_see("24 h · complete", retries=20)
        assert "the newest" not in texts(user)


async def test_an_address_that_is_no_page_is_told_so(console):
    async with console.person("operator") as user:
        answer = await user.http_client.get("/nowhere")
        assert answer.status_code == 404
        assert "<title>No such page · Hesper</title>" in answer.text


async def test_an_address_that_goes_on_behind_a_page_builds_nothing_of_that_page(
    console, monkeypatch
):
    asked = []
    monkeypatch.setattr(console.services.meters, "get", lambda *told: asked.append(told))
    async with console.person("operator") as user:
        answer = await user.http_client.get(f"/meters/{METER}/nowhere")
        assert answer.status_code == 404
        assert "No such page" in answer.text
    assert asked == [], "what is looked at stands in the access log"


async def test_a_store_that_is_away_gives_a_retry(console):
    console.services.down = True
    async with console.person("operator") as user:
        await user.open("/alerts")
        await user.should_see("This page could not be loaded", retries=20)
        console.services.down = False
        await press(user, "Try again")
        await user.should_see("By cause, worst first", retries=20)


async def test_a_viewer_may_look_and_is_told_why_not_command(console):
    async with console.person("vera") as user:
        await user.open(f"/meters/{METER}")
        await user.should_see("Your role (viewer) may look, not command.", retries=20)
        assert "Disconnect supply…" not in texts(user)


async def test_life_support_blocks_the_disconnect_and_says_so(console):
    meter = next(m.id for m in console.services.fleet.meters.values() if m.life_support)
    async with console.person("operator") as user:
        await user.open(f"/meters/{meter}")
        await user.should_see("Disconnect supply…", retries=20)
        assert disabled(user, "Disconnect supply…")
        assert "The customer is flagged for life support." in texts(user)


async def test_a_disconnect_needs_a_reason_and_the_last_digits(console):
    async with console.person("operator") as user:
        await open_dialog(user)
        assert disabled(user, "Request disconnect")
        await fill_in(user, "Customer moved out", "0000")
        assert disabled(user, "Request disconnect")
        await fill_in(user, "Customer moved out", TAIL)
        assert not disabled(user, "Request disconnect")
        await fill_in(user, "Other (say which)", TAIL)
        assert disabled(user, "Request disconnect")


async def test_who_sees_some_areas_is_told_why_there_is_no_load(console):
    async with console.person("vera") as vera:
        signed_in = console.services.signed_in
        for token, actor in signed_in.items():
            signed_in[token] = replace(actor, areas=("North",))
        await vera.open("/")
        await vera.should_see("Not divided by area", retries=20)
        assert "counted over all areas alone" in texts(vera)
        assert "No load yet" not in texts(vera)


async def test_ten_rapid_clicks_make_one_command(console):
    async with console.person("operator") as user:
        await open_dialog(user)
        await fill_in(user, "Customer moved out", TAIL)
        for _ in range(10):
            await press(user, "Request disconnect")
        await user.should_see("awaiting approval", retries=20)
        assert len(console.services.fleet.commands) == 1


async def test_a_ping_that_has_ended_is_asked_anew_where_nothing_else_changed(console):
    """As at a silent meter: the first ping came to nothing, and so the page stays as it was."""
    async with console.person("operator") as user:
        fleet = console.services.fleet
        silent = next(each.id for each in fleet.meters.values() if not each.online)
        await user.open(f"/meters/{silent}")
        await user.should_see("Ping", retries=20)
        for count in (1, 2, 3):
            await press(user, "Ping")
            await until(lambda count=count: len(fleet.commands) == count)
            (*_, newest) = fleet.commands
            for walk in console.services.commands.walks:
                walk.cancel()
            fleet.commands[newest] = replace(fleet.commands[newest], state="expired")


async def test_a_request_is_approved_by_another_person_and_confirmed(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        await open_dialog(asking)
        await fill_in(asking, "Customer moved out", TAIL)
        await press(asking, "Request disconnect")
        await until(lambda: bool(console.services.fleet.commands))
        await other.open("/commands")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        await other.should_see(f"Approve: Disconnect supply to {METER}?", retries=20)
        assert re.search(HOW_OLD, texts(other))
        next(iter(other.find(marker="approval-password").elements)).value = "wrong"
        await press(other, "Approve disconnect")
        await other.should_see("The password or the code is not right.", retries=20)
        next(iter(other.find(marker="approval-password").elements)).value = PASSWORD
        await press(other, "Approve disconnect")
        await until(lambda: console.services.fleet.meters[METER].relay_output is False)
        await asking.open(f"/meters/{METER}")
        await asking.should_see("confirmed by read-back", retries=20)
        await asking.should_see("Reconnect supply…", retries=20)


async def test_who_approves_a_tunnel_is_told_what_may_come_of_it(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        await open_dialog(asking)
        await fill_in(asking, "Customer moved out", TAIL)
        await press(asking, "Request disconnect")
        await until(lambda: bool(console.services.fleet.commands))
        commands = console.services.fleet.commands
        ((command_id, command),) = commands.items()
        commands[command_id] = replace(command, kind="tunnel.open")
        await other.open("/commands")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        words = f"Approve: Open a tunnel for a vendor's program to {METER}?"
        await other.should_see(words, retries=20)
        await other.should_see("also cut the supply", retries=20)
        await other.should_see("Approve tunnel", retries=20)


async def test_nobody_approves_what_they_asked_for(console):
    async with console.person("approver") as user:
        await open_dialog(user)
        await fill_in(user, "Customer moved out", TAIL)
        await press(user, "Request disconnect")
        await until(lambda: bool(console.services.fleet.commands))
        await user.open("/commands")
        await user.should_see("Withdraw", retries=20)
        assert disabled(user, "Approve…")


async def test_what_waits_for_a_decision_is_hidden_by_no_number_of_others(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        await open_dialog(asking)
        await fill_in(asking, "Customer moved out", TAIL)
        await press(asking, "Request disconnect")
        commands = console.services.fleet.commands
        await until(lambda: bool(commands))
        (asked,) = commands.values()
        for number in range(120):
            commands[f"later-{number}"] = replace(asked, id=f"later-{number}", state="sent")
        await other.open("/commands")
        await other.should_see("Approve…")
        assert "120 commands" in texts(other)


async def test_a_session_that_ended_can_do_nothing_more(console):
    async with console.person("operator") as user:
        await open_dialog(user)
        await fill_in(user, "Customer moved out", TAIL)
        console.services.signed_in.clear()
        await press(user, "Request disconnect")
        await user.should_see("Sign in first.", retries=20)
        assert console.services.fleet.commands == {}


async def test_alerts_are_acknowledged_with_a_note(console):
    async with console.person("operator") as user:
        await user.open("/alerts?severity=critical")
        await user.should_see("Terminal cover opened", retries=20)
        await press(user, "Acknowledge…")
        await user.should_see("Acknowledge this alert?")
        await press(user, "Acknowledge")
        seen = console.services.fleet.alerts
        await until(lambda: any(alert.state == "acknowledged" for alert in seen))
        assert "has been silent" not in texts(user)


async def test_the_kill_switch_is_engaged_with_a_reason(console):
    async with console.person("operator") as user:
        await user.open("/commands")
        await user.should_see("Stop all commands…", retries=20)
        await press(user, "Stop all commands…")
        assert disabled(user, "Stop all commands")
        next(iter(user.find(kind=ui.input).elements)).value = "storm"
        await press(user, "Stop all commands")
        await until(lambda: console.services.commands.switch.engaged)


async def test_texts_of_meters_and_customers_are_never_markup(console):
    meter = list(console.services.fleet.meters)[5]
    async with console.person("operator") as user:
        for path in ("/alerts", f"/meters/{meter}", "/events"):
            client = await user.open(path)
            await user.should_see("window.pwned", retries=20)
            for element in client.elements.values():
                assert SCRIPT not in str(element.props.get("innerHTML", ""))


async def test_the_navigation_follows_the_page(console):
    async with console.person("operator") as user:
        client = await user.open("/gateways")
        current = [e for e in client.elements.values() if e.props.get("aria-current") == "page"]
        assert [element.props["href"] for element in current] == ["/gateways"]


async def test_events_are_filtered_and_can_be_held(console):
    async with console.person("vera") as user:
        await user.open("/events?severity=warning")
        await user.should_see("Voltage sag L2, 202.4 V for 1.8 s", retries=20)
        assert "Power down" not in texts(user)
        await press(user, "Hold")
        await user.should_see("Go on", retries=20)
        await user.open("/events?severity=invented")
        await user.should_see("There is no such filter.", retries=20)


async def test_the_audit_log_is_paged_searched_and_checked(console):
    async with console.person("approver") as user:
        await user.open("/audit?offset=200")
        await user.should_see("201 to 230 of 230 entries", retries=20)
        written = texts(user).splitlines()
        assert [len(text) for text in written if "four_eyes" in text] == [81, len(LONG)]
        await press(user, "Check the whole chain")
        await user.should_see("All 230 rows fit.", retries=20)
        await user.open("/audit?subject=000000e6")
        await user.should_see("1 to 1 of 1 entry", retries=20)
        client = await user.open("/audit")
        await user.should_see("window.pwned", retries=20)
        for element in client.elements.values():
            assert SCRIPT not in str(element.props.get("innerHTML", ""))


async def test_looks_at_data_are_listed_found_and_paged(console):
    async with console.person("approver") as user:
        client = await user.open("/audit")
        await user.should_see("Check the whole chain", retries=20)
        targets = {element.props.get("href") for element in client.elements.values()}
        assert "/audit/looks" in targets
        client = await user.open("/audit/looks?who=&meter=HES00000012")
        await user.should_see("HES00000012", retries=20)
        await user.should_see("all meters of Harbour")
        targets = {element.props.get("href") or "" for element in client.elements.values()}
        (older,) = [each for each in targets if "cursor=2" in each]
        assert "meter=HES00000012" in older
        await user.open(older)
        await user.should_see("every meter", retries=20)
        await user.should_see("<b>x</b>")
    async with console.person("operator") as user:
        await user.open("/audit/looks")
        await user.should_see("Not open to your role", retries=20)


async def test_the_audit_log_is_for_those_who_may_read_it(console):
    async with console.person("operator") as user:
        client = await user.open("/audit")
        await user.should_see("Not open to your role", retries=20)
        targets = {element.props.get("href") for element in client.elements.values()}
        assert "/audit" not in targets


async def test_a_service_level_leads_to_who_missed_it(console):
    async with console.person("vera") as user:
        await user.open("/service-levels")
        await user.should_see("97.0 %", retries=20)
        assert {"missed", "reached", "not over yet"} <= set(texts(user).splitlines())
        await user.open("/service-levels/daily profiles within 8 h?day=2026-11-20")
        await user.should_see("3 meters missed it on 2026-11-20.", retries=20)
        assert "the meter did not answer" in texts(user)
        await user.open("/service-levels/messages?day=yesterday")
        await user.should_see("A day is written like 2026-11-17.", retries=20)


async def test_before_a_day_is_over_nobody_is_said_to_have_kept_its_level(console, monkeypatch):
    async def misses(*_told):
        return []

    monkeypatch.setattr(console.services.service_levels, "misses", misses)
    today = lambda: (date(2026, 11, 21), "Pacific/Auckland")  # noqa: E731
    monkeypatch.setattr(console.services.reports, "today", today)
    of_levels = console.services.service_levels  # its days need not be those of the energy book
    monkeypatch.setattr(of_levels, "today", lambda: date(2026, 11, 22))
    async with console.person("vera") as user:
        for day, words in (("21", "Nobody missed it"), ("22", "This day is not over.")):
            await user.open(f"/service-levels/daily?day=2026-11-{day}")
            await user.should_see(words, retries=20)
        await user.open("/quality")
        await user.should_see("2026-11-21", retries=20)
        days = [line for line in texts(user).splitlines() if line.startswith("2026-11-")]
        assert days[0] == "2026-11-21", "the first chip is the day that it is for the utility"
