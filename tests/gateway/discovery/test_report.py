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


def test_a_template_of_ones_own_is_proposed(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "acme.toml").write_text('extends = "generic-wrapper"\nrecognised_by = ["ACM"]\n')
    settings = GatewayConfig.model_validate(CONFIG | {"state": tmp_path, "templates": tmp_path})
    rogue = Found(Place("wrapper", 1), Setting(), Answer(name="ACM1"))
    report.show(settings, settings.lines[0], [rogue], None, False)
    shown = capsys.readouterr().out
    assert 'template = "acme"' in shown
    assert "# Template acme is unverified." in shown


def test_what_cannot_be_written_is_shown(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = GatewayConfig.model_validate(CONFIG | {"state": tmp_path})
    found = Found(Place("wrapper", 1), Setting(), Answer(name="HXE1"))
    gone = tmp_path / "gone" / "meters.toml"
    report.show(settings, settings.lines[0], [found], gone, False)
    shown = capsys.readouterr()
    assert f"{gone} cannot be written: No such file or directory" in shown.err
    assert 'logical_device_name = "HXE1"' in shown.out
