"""What an approver is told of each kind of command."""

from datetime import UTC, datetime

import pytest
from console_double.people import Console, press, texts
from hesper_cloud.authority.kinds import WRITING
from hesper_ui import tongues
from hesper_ui.services import CommandRow
from hesper_ui.views import approval_words
from hesper_ui.words import speaking

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
METER = "HES12643021"
POWER_COMES_BACK = ("power back", "wieder Strom")


def command(kind: str) -> CommandRow:
    meter = "" if kind.startswith("gateway.") else METER
    return CommandRow(
        "c1", kind, meter, "gw-tcp", "awaiting_approval", "operator", None, "Keys were seen",
        NOW, None, None, NOW, NOW, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("language", tongues.languages())
def test_every_kind_that_writes_has_words_and_only_a_reconnect_brings_power_back(language):
    with speaking(tongues.tongue(language)):
        told = {kind: approval_words.what_follows(command(kind)) for kind in WRITING}
        neutral = approval_words.what_follows(command("of.tomorrow"))
    assert neutral not in told.values()
    back = {kind for kind, (_, text) in told.items() if any(w in text for w in POWER_COMES_BACK)}
    assert back == {"relay.reconnect"}
    named = {kind for kind, (name, _) in told.items() if name == told["relay.reconnect"][0]}
    assert named == {"relay.reconnect"}
    assert not any(words in neutral[1] for words in POWER_COMES_BACK)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_approves_new_keys_approves_no_reconnect(console: Console):
    console.services.start_again()
    commands = console.services.fleet.commands
    commands["c1"] = command("keys.change")
    async with console.person("approver") as user:
        await user.open("/commands")
        await user.should_see("Approve…")
        await press(user, "Approve…")
        await user.should_see("Approve change of keys")
        assert "This meter is given new keys" in texts(user)
        assert "Approve reconnect" not in texts(user)
