"""What the console's benchmark makes of what it saw."""

import os
import socket
import subprocess
import sys
import time

import pytest
from hesper_lab.bench import console, console_clients, console_cpu, console_events
from hesper_lab.bench.console_seen import Arrivals
from hesper_lab.bench.console_sockets import Heard


def test_an_events_way_is_told_step_by_step() -> None:
    first = [Heard(at, at + 0.01, at + 0.02) for at in (99.0, 100.5, 101.0, 101.5)]
    last = [Heard(at, at + 0.01, at + 0.03) for at in (100.5, 101.0, 103.0)]
    page = Arrivals(100.0, [25.0] * 10, [30.0] * 900, [40.0] * 900)
    rows = console_events.rows([first, last], page, 2.0)
    found = {each["name"].removeprefix("console.event"): each["value"] for each in rows}
    assert found == {
        "_p50_ms": 40.0,
        "_p99_ms": 40.0,
        "s_painted": 45.0,
        **{f"_dom_p{percent}_ms": 30.0 for percent in (50, 99)},
        **{f"_told_p{percent}_ms": 10.0 for percent in (50, 99)},
        **{f"_sent_p{percent}_ms": 20.0 for percent in (50, 99)},
        **{f"_sent_last_p{percent}_ms": 30.0 for percent in (50, 99)},
        **{f"_heard_p{percent}_ms": 25.0 for percent in (50, 99)},
    }
    assert [each["target"] for each in rows if each["target"]] == [50.0, 50.0]


def test_shares_of_the_machine_are_told_by_who_takes_them() -> None:
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    found: dict[str, float] = {}
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as known:
        with console_cpu.shares({"cloud": known.pid}, found):
            assert known.pid in console_cpu._below(os.getpid())
        known.communicate(b"")
    assert found.keys() == {"cloud", "bench", "browser"}
    assert all(share >= 0 for share in found.values())


def test_a_part_that_takes_longer_than_its_limit_is_ended_and_told_of(monkeypatch, capsys) -> None:
    hangs = console._Part(lambda _: time.sleep(60), 0.05)
    monkeypatch.setitem(console._PARTS, "seen", hangs)
    assert console._measured("seen", None) == []
    assert "seen was not measured: it was not over after 0.05 s" in capsys.readouterr().err


def test_clients_whose_server_never_answers_end_with_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with (
            pytest.raises(RuntimeError, match="not over after"),
            console.within(0.5),
            console_clients.opened(url, ["a=b"], 1),
        ):
            pass
        assert time.monotonic() - begun < console_clients._OPEN_WITHIN_S / 2
