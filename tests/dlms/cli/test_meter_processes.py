"""`hesper-dlms` beside a simulated fleet: every way in, every mechanism, reading and changing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_dlms.cosem_time import CosemDateTime

Command = Callable[..., Any]

NAME = "data:0.0.42.0.0.255:value"
CLOCK = "clock:0.0.1.0.0.255:time"
RELAY = "disconnect_control:0.0.96.3.10.255"

WAYS = {
    "lan-1": [],
    "lan-6": ["--referencing", "short-name"],
    "hdlc-1": ["--link", "hdlc", "--physical", "17"],
    "rs485": ["--physical", "17"],
    "udp-1": ["--udp"],
    "optical-1": ["--mode-e", "--physical", "17"],
}


def name_of(meter: dict[str, Any]) -> str:
    return "hex:" + meter["logical_device_name"].encode().hex()


@pytest.mark.parametrize("line", WAYS)
def test_every_way_in(fleet: Any, command: Command, line: str) -> None:
    meter = fleet.meter(line)
    way = [*fleet.way(line), *WAYS[line]]
    done = command("read", *way, *fleet.management(meter), "--json", NAME, CLOCK)
    assert done.returncode == 0, done.stderr
    name, clock = json.loads(done.stdout)
    assert name == {"object": "1:0.0.42.0.0.255:2", "value": name_of(meter)}
    assert clock["value"].startswith("hex:")


MECHANISMS = {
    "lls": ("lan-1", "2", False, []),
    "md5": ("lan-1", "3", True, []),
    "sha1": ("lan-1", "4", True, []),
    "gmac": ("lan-1", "5", False, ["--plain"]),
    "sha256": ("lan-1", "6", True, []),
    "ecdsa": ("lan-3", "7", False, []),
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism(fleet: Any, command: Command, mechanism: str) -> None:
    line, client, hls, more = MECHANISMS[mechanism]
    meter = fleet.meter(line)
    login = ["--client", client, "--authentication", mechanism, *more]
    done = command(
        "read", *fleet.way(line), *login, *fleet.keys_file(meter, hls), "--json", "--trace", NAME
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["value"] == name_of(meter)
    assert "-> " in done.stderr
    secret = meter["hls_secret" if hls else "password"]
    assert secret.encode().hex(" ") not in done.stderr
    assert secret not in done.stderr + done.stdout


PROTECTIONS = [
    ["--general"],
    ["--dedicated-key", "random"],
    ["--general", "--dedicated-key", "random"],
    ["--general-ciphering", "identified"],
    ["--general-ciphering", "wrapped"],
    ["--general-ciphering", "one-pass"],
    ["--general-ciphering", "static"],
    ["--sign", "inside"],
]


@pytest.mark.parametrize("line", ["lan-3", "lan-4"])
@pytest.mark.parametrize("protection", PROTECTIONS, ids=" ".join)
def test_every_protection(fleet: Any, command: Command, line: str, protection: list[str]) -> None:
    meter = fleet.meter(line)
    done = command("read", *fleet.way(line), *fleet.management(meter), *protection, "--json", NAME)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["value"] == name_of(meter)


def test_what_is_written_is_there(fleet: Any, command: Command) -> None:
    way = [*fleet.way("lan-2"), *fleet.management(fleet.meter("lan-2"))]
    done = command("write", *way, "--json", f"{CLOCK}=now")
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        [{"object": "8:0.0.1.0.0.255:2", "written": True}],
    ), done.stderr
    read = json.loads(command("read", *way, "--json", CLOCK).stdout)[0]["value"]
    clock = CosemDateTime.from_octets(bytes.fromhex(read.removeprefix("hex:")))
    assert abs(clock.resolve(UTC).captured_at - datetime.now(UTC)) < timedelta(seconds=30)
    refused = command("write", *way, "data:0.0.42.0.0.255:value=octet-string:00")
    assert refused.returncode == 1
    assert "refused" in refused.stdout


def test_a_refused_read_is_told_and_ends_with_1(fleet: Any, command: Command) -> None:
    done = command("read", *fleet.way("lan-2"), "--json", "register:1.0.1.8.0.255:value", NAME)
    assert done.returncode == 1
    refused, name = json.loads(done.stdout)
    assert refused["error"] == "data-access-result 3 (read-write-denied)"
    assert name["value"] == name_of(fleet.meter("lan-2"))
    assert "try: another --client" in done.stderr


def test_the_relay_needs_a_second_thought(fleet: Any, command: Command) -> None:
    meter = fleet.meter("lan-1")
    way = [*fleet.way("lan-1"), *fleet.management(meter)]
    order = f"{RELAY}:remote_disconnect"
    hasty = command("invoke", *way, order)
    assert hasty.returncode == 2
    assert "--yes" in hasty.stderr
    wrong = command("invoke", *way, "--yes", "--device-name", "HSP0000000000000", order)
    assert wrong.returncode == 1
    assert meter["logical_device_name"] in wrong.stderr
    assert state(command, way) == 1
    right = ["--yes", "--json", "--device-name", meter["logical_device_name"]]
    done = command("invoke", *way, *right, order)
    assert json.loads(done.stdout) == [
        {"object": "70:0.0.96.3.10.255:1", "invoked": True, "returned": None}
    ], done.stderr
    assert command("invoke", *way, *right, f"{RELAY}:remote_reconnect").returncode == 0
    harmless = command("invoke", *way, "clock:0.0.1.0.0.255:adjust_to_minute")
    assert (harmless.returncode, harmless.stdout) == (0, "8:0.0.1.0.0.255:3 done\n")


def state(command: Command, way: list[str]) -> Any:
    done = command("read", *way, "--json", f"{RELAY}:control_state")
    return json.loads(done.stdout)[0]["value"]


def test_rows_by_number_and_by_time(fleet: Any, command: Command) -> None:
    way = [*fleet.way("lan-1"), *fleet.management(fleet.meter("lan-1")), "--json"]
    columns = ["--columns", f"{CLOCK},register:1.0.1.8.0.255:value"]
    profile = ["profile", *way, "1.0.99.1.0.255"]
    few = json.loads(command(*profile, "--entries", "3-4").stdout)
    assert len(few["rows"]) == 2
    assert len(few["columns"]) > 2
    cut = json.loads(command(*profile, "--entries", "3-4", *columns).stdout)
    assert cut["columns"] == ["8:0.0.1.0.0.255:2", "3:1.0.1.8.0.255:2"]
    assert cut["rows"] == [row[:2] for row in few["rows"]]
    assert cut["units"] == [None, {"scaler": 0, "unit": 30, "unit_symbol": "Wh"}]
    first, second = (datetime.fromisoformat(row[0]) for row in cut["rows"])
    assert (second - first).total_seconds() == cut["capture_period_s"]
    today = command(*profile, *columns)
    assert 90 <= len(json.loads(today.stdout)["rows"]) <= 100, today.stderr
    wrong = command(*profile, "--columns", "3:1.0.99.99.99.255:2")
    assert wrong.returncode == 2
    assert "there are: 8:0.0.1.0.0.255:2" in wrong.stderr
    both = command(*profile, "--entries", "1", "--from", "2026-01-01")
    assert both.returncode == 2


def test_selected_rows_of_a_buffer(fleet: Any, command: Command) -> None:
    way = [*fleet.way("lan-1"), *fleet.management(fleet.meter("lan-1")), "--json"]
    done = command("read", *way, "--entries", "1-2", "profile_generic:1.0.99.1.0.255:buffer", NAME)
    rows, name = json.loads(done.stdout)
    assert len(rows["value"]) == 2
    assert "value" in name


def test_objects_by_name(fleet: Any, command: Command) -> None:
    listed = json.loads(command("objects", *fleet.way("lan-1"), "--json").stdout)
    assert {
        "class_id": 8,
        "class": "clock",
        "version": 0,
        "logical_name": "0.0.1.0.0.255",
    } in listed
    meter = fleet.meter("lan-6")
    login = ["--client", "2", "--authentication", "lls", *fleet.keys_file(meter)]
    way = [*fleet.way("lan-6"), "--referencing", "short-name", *login]
    short = json.loads(command("objects", *way, "--json").stdout)
    register = next(each for each in short if each["class"] == "register")
    assert register["base_name"] % 8 == 0
    assert "base name" in command("objects", *way).stdout
    narrow = command("objects", *fleet.way("lan-1"), COLUMNS="40").stdout
    assert all(each["logical_name"] in narrow for each in listed)


def test_who_is_not_there_or_not_let_in(fleet: Any, command: Command) -> None:
    nobody = command("read", "--host", "127.0.0.1", "--port", "1", NAME)
    assert nobody.returncode == 1
    meter = fleet.meter("lan-1")
    wrong = command(
        *("read", *fleet.way("lan-1"), "--client", "2", "--authentication", "lls", NAME),
        HESPER_DLMS_PASSWORD="not-the-password",
    )
    assert wrong.returncode == 1
    assert "rejected" in wrong.stderr
    assert "not-the-password" not in wrong.stderr
    right = command(
        *("read", *fleet.way("lan-1"), "--client", "2", "--authentication", "lls", NAME),
        HESPER_DLMS_PASSWORD=meter["password"],
    )
    assert right.returncode == 0
