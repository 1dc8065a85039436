"""`hesper-dlms` with a meter: over TCP, over a serial line, refused, not there."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.errors import LinkError
from hesper_dlms.server import (
    HdlcServerLink,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
)

Run = Callable[..., Any]


@pytest.fixture
def meter(bench: Any) -> Any:
    """A meter whose counter object shows what it took last."""
    meter = bench.Meter()
    meter.server = LogicalServer(meter)
    return meter


def way(tcp: Any) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(tcp.port), "--timeout", "2"]


LOGINS = {
    "none": [],
    "lls": ["--client", "2", "--authentication", "lls", "--password", "12345678"],
    "gmac": ["--client", "1", "--authentication", "gmac"],
}


@pytest.mark.parametrize("login", LOGINS)
def test_read_over_tcp(
    run: Run, bench: Any, meter: Any, tcp_meter: Callable[..., Any], tmp_path: Path, login: str
) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(
        json.dumps(
            {
                "encryption_key": bench.ENCRYPTION_KEY.hex(),
                "authentication_key": bench.AUTHENTICATION_KEY.hex(),
            }
        )
    )
    options = [*way(tcp_meter(meter.server)), *LOGINS[login]]
    if login != "none":
        options += ["--keys-file", str(keys)]
    asked = ["3:1.0.1.8.0.255:2", "1:0.0.42.0.0.255:2", "8:0.0.1.0.0.255:2"]
    for _ in range(2):
        done = run("read", *options, "--json", *asked)
        assert done.returncode == 1, done.stderr  # the clock is refused
        energy, name, clock = json.loads(done.stdout)
        assert energy == {
            "object": "3:1.0.1.8.0.255:2",
            "value": 1234567,
            "scaler": -3,
            "unit": 30,
            "unit_symbol": "Wh",
        }
        assert name["value"] == "hex:" + b"HSP0012642984000".hex()
        assert "object-undefined" in clock["error"]
    shown = run("read", *options, "--trace", asked[0])
    assert "1234.567 Wh" in shown.stdout
    assert "->" in shown.stderr


def test_profile_and_objects(run: Run, meter: Any, tcp_meter: Callable[..., Any]) -> None:
    options = way(tcp_meter(meter.server))
    done = run(
        "profile",
        *options,
        "1.0.99.1.0.255",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
        "--json",
    )
    assert json.loads(done.stdout) == {
        "profile": "1.0.99.1.0.255",
        "columns": ["8:0.0.1.0.0.255:2", "3:1.0.1.8.0.255:2"],
        "capture_period_s": 900,
        "units": [None, {"scaler": -3, "unit": 30, "unit_symbol": "Wh"}],
        "rows": [["2026-01-01T10:00:00+00:00", 100], ["2026-01-01T10:15:00+00:00", 101]],
        "clock_status": [0, 0],
        "undated": 0,
    }
    selection = apdu.selector_of(meter.selections[-1])
    assert isinstance(selection, apdu.RangeSelector)
    assert selection.from_.local().isoformat() == "2026-01-01T00:00:00"
    shown = run("profile", *options, "1.0.99.1.0.255").stdout
    assert ["2026-01-01", "10:15:00Z", "0.101"] in [line.split() for line in shown.splitlines()]
    assert "1.8.0" in shown
    listed = json.loads(run("objects", *options, "--json").stdout)
    assert listed[1] == {
        "class_id": 8,
        "class": "clock",
        "version": 0,
        "logical_name": "0.0.1.0.0.255",
    }


@pytest.mark.parametrize("said", ["[/x]", "[red]5[/red] kWh"])
def test_a_meters_text_is_shown_as_it_is(
    run: Run, bench: Any, meter: Any, tcp_meter: Callable[..., Any], said: str
) -> None:
    meter.values[bench.NAME] = axdr.encode(axdr.octet_string(said.encode()))
    done = run("read", *way(tcp_meter(meter.server)), "1:0.0.42.0.0.255:2")
    assert said in done.stdout
    meter.values[bench.NAME] = axdr.encode(axdr.visible_string(f"{said}\x1b[2J"))
    done = run("read", *way(tcp_meter(meter.server)), "1:0.0.42.0.0.255:2")
    assert f"{said}?[2J" in done.stdout


def profile_of(meter: Any, *columns: tuple[apdu.CosemAttribute, axdr.Data]) -> None:
    """Have the meter's load profile hold one row of a clock and these."""
    objects = (apdu.CLOCK_TIME, *(attribute for attribute, _ in columns))
    clock = axdr.octet_string(bytes.fromhex("07ea0101ff0a000000000000"))
    row = axdr.structure(clock, *(value for _, value in columns))
    for number, value in ((3, map(apdu.capture_object, objects)), (2, [row])):
        where = apdu.CosemAttribute(7, obis.LOAD_PROFILE_1, number)
        meter.values[where] = axdr.encode(axdr.array(*value))


def test_texts_in_a_profile_are_shown_as_they_are(
    run: Run, meter: Any, tcp_meter: Callable[..., Any]
) -> None:
    tariff = apdu.CosemAttribute(1, obis.parse("0.0.96.14.0.255"), 2)
    profile_of(meter, (tariff, axdr.visible_string("TARIFF[/x]")))
    shown = run("profile", *way(tcp_meter(meter.server)), "1.0.99.1.0.255").stdout
    assert "2026-01-01 10:00:00Z TARIFF[/x]" in shown


def test_an_empty_profile_says_so_and_how_to_ask_for_other_rows(
    run: Run, meter: Any, tcp_meter: Callable[..., Any]
) -> None:
    profile_of(meter)
    for number, value in ((2, axdr.array()), (4, axdr.double_long_unsigned(0))):
        where = apdu.CosemAttribute(7, obis.LOAD_PROFILE_1, number)
        meter.values[where] = axdr.encode(value)
    asked = ["profile", *way(tcp_meter(meter.server)), "1.0.99.1.0.255"]
    span = ["--from", "2026-01-01", "--to", "2026-01-02"]
    done = run(*asked, *span)
    assert done.returncode == 0
    assert "no rows from 2026-01-01 00:00:00 to 2026-01-02 00:00:00 (UTC)" in done.stderr
    assert "--entries 1-10" in done.stderr
    assert "every 0 s" not in done.stdout
    assert "no rows of these numbers" in run(*asked, "--entries", "5-6").stderr
    assert json.loads(run(*asked, *span, "--json").stdout)["rows"] == []


def test_no_figure_of_a_profile_is_cut(run: Run, meter: Any, tcp_meter: Callable[..., Any]) -> None:
    """A pipe is 80 columns wide, as rich sees it."""
    registers = [apdu.CosemAttribute(3, obis.parse(f"1.0.{n}.8.0.255"), 2) for n in range(2, 10)]
    values = [axdr.double_long_unsigned(1_234_567_000 + n) for n in range(2, 10)]
    profile_of(meter, *zip(registers, values, strict=True))
    options = way(tcp_meter(meter.server))
    shown = run("profile", *options, "1.0.99.1.0.255", COLUMNS="80").stdout
    figures = [str(value.value) for value in values]
    assert shown.splitlines()[4].split() == ["2026-01-01", "10:00:00Z", *figures]


def test_refusals_exit_1(run: Run, meter: Any, tcp_meter: Callable[..., Any]) -> None:
    options = way(tcp_meter(meter.server))
    wrong = ["--client", "2", "--authentication", "lls", "--password", "wrong"]
    refused = run("read", *options, *wrong, "3:1.0.1.8.0.255:2")
    assert refused.returncode == 1
    assert "rejected" in refused.stderr
    assert "wrong" not in refused.stderr
    for host, *over in (["127.0.0.1"], ["10.0.0..5"], ["10.0.0..5", "--udp"]):
        nobody = run("read", "--host", host, "--port", "1", *over, "3:1.0.1.8.0.255:2")
        assert (nobody.returncode, "cannot be reached" in nobody.stderr) == (1, True), host


@pytest.mark.parametrize(
    "order", [("write", "8:0.0.1.0.0.255:3=60"), ("invoke", "8:0.0.1.0.0.255:1")]
)
def test_what_to_try_is_said_after_a_refused_order_too(
    run: Run, meter: Any, tcp_meter: Callable[..., Any], order: tuple[str, str]
) -> None:
    done = run(order[0], *way(tcp_meter(meter.server)), order[1], "--yes")
    assert done.returncode == 1
    assert "refused: " in done.stdout
    assert done.stderr.startswith("try: ")


def test_hls_without_ciphering(
    run: Run, bench: Any, meter: Any, tcp_meter: Callable[..., Any]
) -> None:
    options = [*way(tcp_meter(meter.server)), "--authentication", "gmac", "--client", "3"]
    keys = {
        "HESPER_DLMS_ENCRYPTION_KEY": bench.ENCRYPTION_KEY.hex(),
        "HESPER_DLMS_AUTHENTICATION_KEY": bench.AUTHENTICATION_KEY.hex(),
    }
    done = run("read", *options, "--plain", "3:1.0.1.8.0.255:2", **keys)
    assert "1234.567 Wh" in done.stdout
    assert run("read", *options, "3:1.0.1.8.0.255:2").returncode == 2


def test_counters_that_never_arrived_are_not_used_again(
    run: Run, bench: Any, tcp_meter: Callable[..., Any]
) -> None:
    """What the meter shows is what it took: more may have been on the way."""
    begun = set()
    for _ in range(3):
        meter = bench.Meter()  # shows 0
        server = LogicalServer(meter)
        options = [*way(tcp_meter(server)), *LOGINS["gmac"], "3:1.0.1.8.0.255:2"]
        keys = {
            "HESPER_DLMS_ENCRYPTION_KEY": bench.ENCRYPTION_KEY.hex(),
            "HESPER_DLMS_AUTHENTICATION_KEY": bench.AUTHENTICATION_KEY.hex(),
        }
        assert run("read", *options, **keys).returncode == 0
        begun.add(server.last_received_counter)
    assert len(begun) > 1


def test_a_meter_that_hides_its_counter(
    run: Run, bench: Any, meter: Any, tcp_meter: Callable[..., Any]
) -> None:
    meter.clients = {1: meter.clients[1]}
    options = [*way(tcp_meter(meter.server)), *LOGINS["gmac"]]
    keys = {
        "HESPER_DLMS_ENCRYPTION_KEY": bench.ENCRYPTION_KEY.hex(),
        "HESPER_DLMS_AUTHENTICATION_KEY": bench.AUTHENTICATION_KEY.hex(),
    }
    hidden = run("read", *options, "3:1.0.1.8.0.255:2", **keys)
    assert hidden.returncode == 2
    assert "--invocation-counter" in hidden.stderr
    given = run("read", *options, "--invocation-counter", "9", "3:1.0.1.8.0.255:2", **keys)
    assert "1234.567 Wh" in given.stdout
    used = run("read", *options, "--invocation-counter", "9", "3:1.0.1.8.0.255:2", **keys)
    assert used.returncode == 1
    assert "invocation-counter-error" in used.stderr


def test_what_was_done_before_the_meter_fell_silent_is_told(
    run: Run, bench: Any, meter: Any, tcp_meter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []

    def hang_up_at_the_second(*order: Any) -> None:
        written.append(order)
        if len(written) == 2:
            raise LinkError("gone")

    monkeypatch.setattr(meter, "set", hang_up_at_the_second)
    orders = [f"1:0.0.96.50.{number}.255:2=unsigned:7" for number in (1, 2, 3)]
    options = [*way(tcp_meter(meter.server)), *LOGINS["lls"]]
    told = run("write", *options, *orders)
    first, second, third = told.stdout.splitlines()
    assert (first, third) == ("1:0.0.96.50.1.255:2 is now 7", "1:0.0.96.50.3.255:2 not sent")
    assert "1:0.0.96.50.2.255:2 may be done or not, read it before it is repeated" in second
    assert (told.returncode, len(written)) == (1, 2)
    assert "failed: the meter closed the connection" in told.stderr
    written.clear()
    plain = json.loads(run("write", *options, "--json", *orders).stdout)
    assert [each["written"] for each in plain] == [True, None, False]


def test_over_udp_an_order_is_sent_once(run: Run, meter: Any) -> None:
    """A lost answer is no reason to carry something out twice."""
    served = ServerConnection(meter.server, WrapperServerLink(1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind(("127.0.0.1", 0))

        def serve() -> None:
            while octets := (came := ours.recvfrom(65536))[0]:
                done = len(meter.actions)
                answer = served.receive(octets)
                if len(meter.actions) == done:  # that of an action is lost
                    ours.sendto(answer, came[1])

        thread = threading.Thread(target=serve)
        thread.start()
        there = ours.getsockname()
        options = ["--host", there[0], "--port", str(there[1]), "--udp", "--timeout", "0.2"]
        told = run("invoke", *options, *LOGINS["lls"], "clock:0.0.1.0.0.255:adjust_to_quarter")
        ours.sendto(b"", there)
        thread.join()
    assert (told.returncode, len(meter.actions)) == (1, 1)
    assert "may be done or not" in told.stdout


@pytest.fixture
def serial_meter(meter: Any) -> Iterator[str]:
    """A meter on a pseudo-terminal, HDLC, physical address 17."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    connection = ServerConnection(meter.server, HdlcServerLink(1, 17))
    stop, stopped = os.pipe()

    def serve() -> None:
        while stop not in (ready := select.select([ours, stop], [], [])[0]):
            if ours in ready:
                os.write(ours, connection.receive(os.read(ours, 4096)))

    thread = threading.Thread(target=serve)
    thread.start()
    yield os.ttyname(theirs)
    os.write(stopped, b".")
    thread.join()
    for descriptor in (ours, theirs, stop, stopped):
        os.close(descriptor)


def test_read_over_serial(run: Run, bench: Any, serial_meter: str) -> None:
    done = run(
        "read",
        *("--serial", serial_meter, "--physical", "17", "--timeout", "2"),
        *LOGINS["gmac"],
        *("--encryption-key", bench.ENCRYPTION_KEY.hex()),
        *("--authentication-key", bench.AUTHENTICATION_KEY.hex()),
        "1:0.0.96.50.0.255:2",
    )
    assert done.returncode == 0, done.stderr
