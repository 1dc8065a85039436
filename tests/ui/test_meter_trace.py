"""The decoded trace on a meter's page: asked for, waited for, shown, of silent meters too."""

import pytest
from console_double.lines import KIND
from console_double.people import Console, disabled, press, texts, unbroken, until
from hesper_ui.views.batches import READ_REGISTERS
from nicegui.testing import User

pytestmark = pytest.mark.asyncio(loop_scope="module")
METER = "HES12643021"
ASK = "Trace the line now"


@pytest.fixture(autouse=True)
def fresh(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with the same fleet and no command; what is asked for is done at once."""
    console.services.start_again()
    monkeypatch.setattr(console.services.commands, "STEP_S", 0.01)


def traces(console: Console) -> list[str]:
    rows = console.services.fleet.commands.values()
    return [row.state for row in rows if row.kind == KIND]


async def trace(console: Console, user: User, meter: str = METER) -> None:
    """Ask on the page, wait until the meter's gateway has told, look at the page again."""
    await user.open(f"/meters/{meter}")
    await user.should_see(ASK)
    before = len(traces(console))
    await press(user, ASK)
    await until(lambda: len(traces(console)) > before)
    await until(lambda: traces(console)[-1] in ("confirmed", "failed"))
    await user.open(f"/meters/{meter}")


async def test_a_trace_is_asked_for_and_shown_decoded(console):
    with unbroken():
        async with console.person("operator") as user:
            await user.open(f"/meters/{METER}")
            await user.should_see("No trace yet")
            await trace(console, user)
            await user.should_see("the meter answered to the end")
            shown = texts(user)
    for said in ("Aarq", "Aare", "GetResponseNormal", "double-long-unsigned 5050", "to the meter"):
        assert said in shown
    assert "60 36 a1 09" in shown
    assert "** ** **" in shown
    assert "authentication_value: not shown" in shown
    assert "The line is open." in shown
    (asked,) = (row for row in console.services.fleet.commands.values() if row.kind == KIND)
    assert asked.parameters == {"logical_names": READ_REGISTERS}


async def test_a_silent_meter_shows_where_it_stopped(console):
    silent = next(row.id for row in console.services.fleet.meters.values() if not row.online)
    async with console.person("operator") as user:
        await trace(console, user, silent)
        await user.should_see("Stopped, timeout: no answer on the link.")
        shown = texts(user)
    assert shown.count("HDLC SNRM") == 4  # at a glance and in full, twice
    assert "Nothing arrived for 5 s." in shown
    assert "answered to the end" not in shown


async def test_one_at_a_time_and_ten_clicks_make_one(console, monkeypatch):
    monkeypatch.setattr(console.services.commands, "STEP_S", 60.0)
    async with console.person("operator") as user:
        await user.open(f"/meters/{METER}")
        await user.should_see(ASK)
        (control,) = (e for e in user.client.elements.values() if getattr(e, "text", "") == ASK)
        (listener,) = control._event_listeners.values()
        with user:
            for _ in range(10):
                control._handle_event({"listener_id": listener.id, "args": {}})
        await until(lambda: traces(console) != [])
        await user.should_see("queued")
        assert disabled(user, ASK)
        assert len(traces(console)) == 1


async def test_who_may_only_look_sees_it_and_cannot_ask(console):
    async with console.person("operator") as user:
        await trace(console, user)
    async with console.person("vera") as user:
        await user.open(f"/meters/{METER}")
        await user.should_see("the meter answered to the end")
        assert ASK not in texts(user)


async def test_an_earlier_trace_is_a_link_away(console):
    async with console.person("operator") as user:
        await trace(console, user)
        (first,) = (row.id for row in console.services.fleet.commands.values() if row.kind == KIND)
        await trace(console, user)
        await user.should_see("Other traces:")
        await user.open(f"/meters/{METER}?trace={first}")
        await user.should_see("Other traces:")
        links = [e.props.get("href", "") for e in user.client.elements.values()]
        assert f"/meters/{METER}?trace={first}" not in links


async def test_a_look_is_not_repeated_while_nothing_changes(console):
    async with console.person("operator") as user:
        await trace(console, user)
        looks = console.services.conversations.looks
        await user.should_see("the meter answered to the end")
        assert looks == console.services.conversations.looks == 1


async def test_what_did_not_fit_is_said(console):
    console.services.conversations.truncated = True
    async with console.person("operator") as user:
        await trace(console, user)
        await user.should_see("Not all of it fitted: 7 of 10 utterances are here.")


async def test_it_is_said_in_german(console):
    async with console.person("operator") as user:
        user.http_client.headers["accept-language"] = "de"
        await user.open(f"/meters/{METER}")
        await user.should_see("Noch keine Mitschrift")
        assert "Leitung jetzt mitschreiben" in texts(user)
