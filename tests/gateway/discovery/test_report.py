"""What a meter says of itself is shown as text, whatever it is."""

import pytest
from hesper_gateway.config import GatewayConfig
from hesper_gateway.discovery import report
from hesper_gateway.discovery.places import Place, Setting, Wanted
from hesper_gateway.discovery.probe import Answer
from hesper_gateway.discovery.search import Found, Search

NAME = "[/x]\x1b[2J"
CONFIG = {
    "gateway": "gw-1",
    "broker": {"host": "127.0.0.1"},
    "lines": [{"name": "lan", "kind": "tcp", "host": "127.0.0.1", "port": 1}],
}


def test_no_name_of_a_meter_commands_the_terminal(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = GatewayConfig.model_validate(CONFIG | {"state": tmp_path})
    rogue = Found(Place("wrapper", 1), Setting(), Answer(name=NAME, serial_number="[/y]"))

    async def run(search: Search) -> list[Found]:
        search._tell(1, rogue)
        return [rogue]

    monkeypatch.setattr(Search, "run", run)
    found = report.search(settings, settings.lines[0], Wanted(), quiet=False)
    report.show(settings, settings.lines[0], found, None, False)
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert "[/x]?[2J" in text
        assert "\x1b[2J" not in text
