"""The command line's serial port and the command itself at an optical head with mode E."""

from __future__ import annotations

import json
import termios
from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms.client import Client
from hesper_dlms.errors import LinkError
from hesper_dlms.mode_e import LineSettings, sign_on
from hesper_gateway.desk.ports import SerialPort, drive


@pytest.mark.parametrize("how", [{}, {"echo": True}, {"before": b"\x00\xff#\r\n"}], ids=str)
def test_signs_on_changes_the_speed_and_speaks_hdlc(
    bench: Any, optical_meter: Callable[..., Any], how: dict[str, Any]
) -> None:
    meter = optical_meter(**how)
    port = SerialPort(str(meter.path), 9600, "8N1", 2.0)
    try:
        found = port.sign_on(sign_on())
        assert (found.manufacturer, found.baudrate) == ("HXE", 9600)
        assert port.line == LineSettings(9600, "8N1")
        assert (meter.speeds, meter.speed) == ([300, 9600], 9600)
        settings = bench.settings(16)
        client = Client(settings.over_hdlc(), settings)
        drive(client.connect(), port, 10)
        assert drive(client.get(bench.ENERGY), port, 10).as_int() == 1234567
        drive(client.release(), port, 10)
    finally:
        port.close()


def test_a_speed_limit_is_kept(optical_meter: Callable[..., Any]) -> None:
    meter = optical_meter()
    port = SerialPort(str(meter.path), 2400, "8N1", 2.0)
    try:
        assert port.sign_on(sign_on(fastest=2400)).baudrate == 2400
        assert meter.speed == 2400
    finally:
        port.close()


def test_a_meter_that_takes_another_address_is_silent(
    optical_meter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hesper_dlms.mode_e._TALK_S", 0.02)
    port = SerialPort(str(optical_meter().path), 9600, "8N1", 0.05)
    try:
        with pytest.raises(LinkError, match="did not answer"):
            port.sign_on(sign_on("4711", retries=0))
        assert port.line == LineSettings(300, "7E1")
    finally:
        port.close()


@pytest.mark.parametrize("line", [[], ["--framing", "7E1"]], ids=str)
def test_the_command_signs_on(
    bench: Any, run: Callable[..., Any], optical_meter: Callable[..., Any], line: list[str]
) -> None:
    way = ["--serial", str(optical_meter().path), "--mode-e", "--server", "1", *line]
    done = run("read", *way, "--json", "3:1.0.1.8.0.255:2")
    assert done.returncode == 0, done.stderr
    assert "1234567" in json.dumps(json.loads(done.stdout))


def test_an_adapter_that_is_pulled_out_is_a_broken_link(
    optical_meter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = SerialPort(str(optical_meter().path), 9600, "8N1", 0.05)

    def gone(*_words: Any) -> None:
        raise termios.error(5, "Input/output error")

    try:
        monkeypatch.setattr(termios, "tcsetattr", gone)
        with pytest.raises(LinkError, match="Input/output error"):
            port.sign_on(sign_on())
    finally:
        monkeypatch.undo()
        port.close()
