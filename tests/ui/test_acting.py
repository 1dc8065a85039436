"""Many meters at once, and rules set aside: batches, campaigns, emergencies, edits of readings."""

import asyncio
import re
from dataclasses import replace

import pytest
from console_double.acting import CODE, CODED, UNFIT
from console_double.people import HOW_OLD, Console, disabled, fill, press, texts, until
from console_double.services import PASSWORD
from hesper_ui.dialogs import sheet
from hesper_ui.services import Actor, CommandRow, CommandWish, Role, Unavailable
from sqlalchemy.exc import OperationalError

pytestmark = pytest.mark.asyncio(loop_scope="module")
METER, CRITICAL = "HES12643021", "HES12643058"


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    console.services.start_again()
    console.services.batches.STEP_S = 0.01


async def proposed(console: Console, user, serials: str, kind: str = "relay.read") -> str:
    """Proposes a batch by hand; returns its id."""
    await user.open("/batches/new")
    await fill(user, serials=serials, batch_kind=kind, batch_reason="Yearly check")
    await press(user, "Freeze the list")
    await until(lambda: bool(console.services.batches.kept))
    return next(iter(console.services.batches.kept))


async def test_a_batch_is_frozen_then_approved_by_its_hash_and_a_typed_count(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        batch = await proposed(console, asking, f"{METER}\n{CRITICAL}, NOBODY {METER}")
        await asking.open(f"/batches/{batch}")
        digest = console.services.batches.kept[batch].digest
        await asking.should_see(digest, retries=20)
        assert "Unknown meter" in texts(asking)
        assert "Life support" in texts(asking)
        assert "Another person must approve what you asked for." in texts(asking)

        await other.open("/commands")
        await other.should_see("1 batch awaits approval", retries=20)
        assert "Nothing to approve" not in texts(other)
        await other.open(f"/batches/{batch}")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        await fill(other, typed_count="2", approval_password=PASSWORD)
        assert disabled(other, "Approve batch")
        await fill(other, typed_count="1", approval_password="mistyped")
        assert not disabled(other, "Approve batch")
        await press(other, "Approve batch")
        await other.should_see("The password or the code is not right.", retries=20)
        await fill(other, approval_password=PASSWORD)
        await press(other, "Approve batch")
        await until(lambda: console.services.batches.kept[batch].state == "done")
        await other.should_see("confirmed by read-back", retries=40)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/batches/new", {"batch_kind": "relay.read", "batch_reason": "Yearly check"}),
        ("/firmware/new", {"image": "3f" * 32, "campaign_reason": "Fixes the clock"}),
    ],
)
@pytest.mark.parametrize(
    "lost",
    [
        Unavailable("the authority does not answer; the request was taken back"),
        OperationalError("SELECT 1", {}, Exception("locked")),
    ],
)
async def test_a_list_whose_answer_was_lost_is_frozen_once(console, monkeypatch, path, told, lost):
    asked = console.services.batches.propose

    async def answerless(*wish):
        monkeypatch.undo()
        await asked(*wish)
        raise lost

    monkeypatch.setattr(console.services.batches, "propose", answerless)
    async with console.person("operator") as user:
        await user.open(path)
        await fill(user, serials=METER, **told)
        await press(user, "Freeze the list")
        await user.should_see("does not answer", retries=20)
        await press(user, "Freeze the list")
        await until(lambda: user.back_history[-1] != path)
        assert len(console.services.batches.kept) == 1


async def test_a_batch_stops_by_itself_and_only_what_failed_goes_again(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        batch = await proposed(console, asking, f"{UNFIT} {METER}")
        await other.open(f"/batches/{batch}")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        await fill(other, typed_count="2", approval_password=PASSWORD)
        await press(other, "Approve batch")
        await until(lambda: console.services.batches.kept[batch].state == "stopped")
        await other.should_see("stopped by itself", retries=80)
        await other.should_see("Repeat what failed…", retries=80)
        await press(other, "Repeat what failed…")
        await fill(other, approval_password=PASSWORD)
        await press(other, "Repeat failed rows")
        await until(lambda: console.services.batches.kept[batch].state == "done")
        tries = {row.meter: row.tries for row in console.services.batches.lines[batch]}
        assert tries == {UNFIT: 2, METER: 1}


async def test_buttons_stay_in_place_while_the_figures_of_a_batch_move(console):
    def button_of(user, label):
        return [e for e in user.client.elements.values() if getattr(e, "text", "") == label]

    async with console.person("operator") as user:
        batch = await proposed(console, user, f"{METER} {UNFIT}")
        await user.open(f"/batches/{batch}")
        await user.should_see("Abort…", retries=20)
        before = button_of(user, "Abort…")
        kept = console.services.batches.kept
        kept[batch] = replace(kept[batch], reason="Figures moved")
        await user.should_see("asked by operator: Figures moved", retries=80)
        assert button_of(user, "Abort…") == before


async def test_an_abort_needs_a_reason_and_ends_what_has_not_left(console):
    async with console.person("operator") as user:
        batch = await proposed(console, user, METER, "relay.disconnect")
        await user.open(f"/batches/{batch}")
        await user.should_see("Abort…", retries=20)
        await press(user, "Abort…")
        await user.should_see(marker="batch-reason")
        assert disabled(user, "Abort batch")
        await fill(user, batch_reason="wrong list")
        await press(user, "Abort batch")
        await until(lambda: console.services.batches.kept[batch].state == "aborted")
        assert console.services.batches.lines[batch][0].state == "withdrawn"


async def test_a_campaign_is_brought_by_one_approval_and_activated_by_another(console):
    async with console.person("operator") as asking, console.person("approver") as other:
        await asking.open("/firmware/new")
        await fill(
            asking, image="3f" * 32, campaign_reason="Fixes the clock", serials=f"{METER} HES0"
        )
        await press(asking, "Freeze the list")
        await until(lambda: bool(console.services.batches.kept))
        campaign = next(iter(console.services.batches.kept))

        await other.open(f"/firmware/{campaign}")
        await other.should_see("Approve…", retries=20)
        await other.should_see("Unknown meter")
        assert "Ask for activation…" not in texts(other)
        await press(other, "Approve…")
        await fill(other, typed_count="1", approval_password=PASSWORD)
        await press(other, "Approve batch")
        await until(lambda: console.services.batches.kept[campaign].state == "done")

        await asking.open(f"/firmware/{campaign}")
        await asking.should_see("Ask for activation…", retries=80)
        await press(asking, "Ask for activation…")
        await fill(asking, activation_reason="Verified everywhere")
        await press(asking, "Ask for activation")
        await until(lambda: len(console.services.batches.kept) == 2)
        _, activation = console.services.batches.kept.values()
        assert (activation.kind, activation.state) == ("firmware.activate", "awaiting_approval")


async def test_a_campaign_goes_wave_by_wave_as_people_let_it(console):
    fleet = console.services.fleet.meters.values()
    meters = [each.id for each in fleet if each.id != UNFIT and not each.life_support][:5]
    async with console.person("operator") as asking, console.person("approver") as other:
        await asking.open("/firmware/new")
        await fill(asking, image="3f" * 32, campaign_reason="Fixes the clock")
        await asking.should_see("What is new in 2.5.0")
        await asking.should_see("release-ann, release-ben")
        await fill(asking, serials=" ".join(meters), waves="20; 40", soak=None)
        await press(asking, "Freeze the list")
        kept = console.services.batches.kept
        await until(lambda: bool(kept))
        campaign = next(iter(kept))
        assert (kept[campaign].waves, kept[campaign].soak_s) == ([1, 3, 5], None)

        await other.open(f"/firmware/{campaign}")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        await fill(other, typed_count="5", approval_password=PASSWORD)
        await press(other, "Approve batch")
        for number in (1, 2):
            await other.should_see(f"Wave {number} is over.", retries=80)
            assert kept[campaign].state == "paused"
            await other.should_see("Resume…", retries=80)
            await press(other, "Resume…")
            await fill(other, approval_password=PASSWORD)
            await press(other, "Resume batch")
        await until(lambda: kept[campaign].state == "done")
        assert [wave.confirmed for wave in console.services.batches.waves(campaign)] == [1, 2, 2]


async def test_waves_that_are_none_are_said_to_be_none(console):
    async with console.person("operator") as user:
        await user.open("/firmware/new")
        await fill(user, image="3f" * 32, campaign_reason="Fixes the clock", serials=METER)
        await fill(user, waves="a tenth")
        await press(user, "Freeze the list")
        await user.should_see("The waves are whole percentages of the meters, like 1, 10.")
        assert not console.services.batches.kept


async def test_an_account_with_a_second_factor_is_asked_for_its_code(console):
    async with console.person("operator") as asking, console.person(CODED, code=CODE) as other:
        batch = await proposed(console, asking, METER)
        await other.open(f"/batches/{batch}")
        await other.should_see("Approve…", retries=20)
        await press(other, "Approve…")
        await fill(other, typed_count="1", approval_password=PASSWORD)
        assert disabled(other, "Approve batch")
        await fill(other, approval_code=CODE)
        await press(other, "Approve batch")
        await until(lambda: console.services.batches.kept[batch].state == "done")


async def test_a_plain_button_asks_for_one_command_at_a_time_however_often_clicked(console):
    known = next(iter(console.services.fleet.meters))
    wish, who = CommandWish("ping", known, {}, ""), Actor("operator", Role.OPERATOR)
    asked: dict[str, CommandRow] = {}

    async def send(key: str) -> CommandRow:
        if key not in asked:
            row = await console.services.commands.request(who, wish, key)
            asked[key] = replace(row, state="sent")
        await asyncio.sleep(0)
        return asked[key]

    async def done() -> None:
        """Draws nothing."""

    ask = sheet.asking(send, done)
    for count in (1, 2, 3):
        await asyncio.gather(ask(), ask(), ask())
        assert len(asked) == count
        await ask()
        assert len(asked) == count, "it is under way still"
        asked |= {key: replace(row, state="expired") for key, row in asked.items()}


async def test_break_glass_leaves_alone_and_is_reviewed_by_another(console):
    async with console.person("operator") as user, console.person("approver") as other:
        await user.open(f"/meters/{METER}")
        await user.should_see("Emergency: disconnect…", retries=20)
        await press(user, "Emergency: disconnect…")
        await user.should_see("A critical alert is raised at once", retries=20)
        assert re.search(HOW_OLD, texts(user))
        await fill(user, emergency="Fire in the house", approval_password=PASSWORD)
        assert disabled(user, "Break glass")
        await fill(user, emergency_tail=METER[-4:], approval_password="mistyped")
        await press(user, "Break glass")
        await user.should_see("The password or the code is not right.", retries=20)
        await fill(user, approval_password=PASSWORD)
        await press(user, "Break glass")
        await until(lambda: bool(console.services.decisions.uses))

        await other.open("/commands")
        await other.should_see("1 review is due", retries=20)
        await press(other, "Review…")
        await fill(other, verdict="justified", review_words="Fire brigade called")
        await fill(other, approval_password=PASSWORD)
        await press(other, "Sign the review")
        await until(lambda: console.services.decisions.uses[0].verdict == "justified")


async def test_a_held_command_is_released_by_two(console):
    async with (
        console.person("operator") as asking,
        console.person("approver") as first,
        console.person("admin") as second,
    ):
        await asking.open(f"/meters/{METER}")
        await asking.should_see("Ping", retries=20)
        await press(asking, "Ping")
        commands = console.services.fleet.commands
        await until(lambda: bool(commands))
        await asyncio.gather(*console.services.commands.walks)
        (command,) = commands
        console.services.commands._store(commands[command], state="quarantined")
        for user in (first, second):
            await user.open("/commands")
            await user.should_see("held for two more people", retries=20)
            await press(user, "Release…")
            await fill(user, approval_password=PASSWORD)
            await press(user, "Release")
            await until(lambda: bool(console.services.decisions.released))
        await until(lambda: commands[command].state != "quarantined")
        assert console.services.decisions.released[command] == {"approver", "admin"}


async def test_a_reading_is_edited_with_a_reason_and_taken_back(console):
    async with console.person("approver") as user:
        await user.open(f"/quality/{METER}")
        await user.should_see("one interval far above the others", retries=20)
        await press(user, "Edit a value…")
        await fill(user, edit_at="yesterday", edit_value="12 345", edit_reason="Meter exchanged")
        await press(user, "Edit the value")
        await user.should_see("A point in time is written like", retries=20)
        await fill(user, edit_at="2026-11-20 17:45")
        await press(user, "Edit the value")
        await until(lambda: bool(console.services.validated.made))
        made = console.services.validated.made[0]
        assert (made.value, made.made_by, made.reason) == (12_345, "approver", "Meter exchanged")
        await user.should_see("Take back…", retries=20)
        await press(user, "Take back…")
        await fill(user, edit_reason="It was right")
        await press(user, "Take it back")
        await until(lambda: console.services.validated.made[0].withdrawn_by == "approver")


async def test_a_viewer_may_look_at_all_of_it_and_ask_for_nothing(console):
    async with console.person("operator") as asking:
        batch = await proposed(console, asking, METER)
    async with console.person("vera") as user:
        for path in ("/batches", f"/batches/{batch}", "/firmware", "/quality", "/map", "/commands"):
            await user.open(path)
            await user.should_see(kind=None, content="Hesper", retries=20)
            assert not {"Approve…", "Abort…", "New batch…", "New campaign…"} & set(
                texts(user).splitlines()
            )
        for path in ("/batches/new", "/firmware/new"):
            await user.open(path)
            await user.should_see("may look, not command", retries=20)
        await user.open("/settings")
        await user.should_see("Not open to your role", retries=20)
