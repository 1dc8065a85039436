"""`hesper-dlms` as people run it: captured frames, a meter on TCP, a meter on a serial line."""

from __future__ import annotations

import io
import json
import os
import select
import sys
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.hdlc import Frame
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.server import HdlcServerLink, LogicalServer, ServerConnection
from hesper_dlms.wrapper import wrap
from hesper_gateway.dlms_cli import main

PUSH = apdu.DataNotification(
    77,
    bytes.fromhex("07ea0101ff0a000000800000"),
    axdr.encode(axdr.structure(axdr.octet_string(bytes(6)), axdr.double_long_unsigned(5))),
)
VALUES = ["hex:000000000000", 5]


class Done(NamedTuple):
    """How a run of the command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command's `main` with arguments, standard input and environment."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hesper-dlms", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        for name, value in {"COLUMNS": "200", "TERM": "dumb", **environment}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        for name in environment:
            monkeypatch.delenv(name)
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


def ui(information: bytes, segmented: bool = False) -> bytes:
    return Frame(b"\x21", b"\x02\x23", 0x13, information, segmented).to_octets()


def blocks(octets: bytes, size: int, order: list[int] | None = None) -> bytes:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    numbers = order or list(range(1, len(parts) + 1))
    return b"".join(
        ui(
            b"\xe6\xe7\x00"
            + apdu.GeneralBlockTransfer(
                number == len(parts), True, 1, number, 0, parts[number - 1]
            ).to_octets()
        )
        for number in numbers
    )


def mbus(octets: bytes, size: int) -> bytes:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    line = b""
    for number, part in enumerate(parts):
        last = 0x10 if number == len(parts) - 1 else 0
        body = bytes((0x53, 0xFF, number | last, 0x01, 0x67)) + part
        line += bytes((0x68, len(body), len(body), 0x68)) + body
        line += bytes((sum(body) & 0xFF, 0x16))
    return line


def framed(name: str) -> tuple[str, bytes, dict[str, object]]:
    octets = PUSH.to_octets()
    hdlc = {"fcs": True, "hcs": True, "destination": "21", "source": "0223"}
    whole = b"\xe6\xe7\x00" + octets
    return {
        "hdlc": ("hdlc", ui(whole), {**hdlc, "frames": 1}),
        "segments": ("hdlc", ui(whole[:9], True) + ui(whole[9:])[1:], {**hdlc, "frames": 2}),
        "blocks": ("hdlc", blocks(octets, 20), {**hdlc, "frames": 2}),
        "mbus": ("mbus", mbus(octets, 20), {"checksum": True}),
        "wrapper": ("wrapper", wrap(1, 102, octets), {"destination": "0066", "source": "0001"}),
        "raw": ("raw", octets, {}),
    }[name]


@pytest.mark.parametrize("name", ["hdlc", "segments", "blocks", "mbus", "wrapper", "raw"])
def test_decode_every_framing(run: Run, name: str) -> None:
    link, octets, facts = framed(name)
    done = run("decode", "--link", link, "--json", "-", stdin=octets.hex(" "))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "messages": [
            {
                "link": facts,
                "long_invoke_id": 77,
                "date_time": "07ea0101ff0a000000800000",
                "values": VALUES,
            }
        ],
        "dropped": [],
    }


def test_decode_says_what_it_dropped(run: Run, tmp_path: Path) -> None:
    capture = tmp_path / "capture.bin"
    capture.write_bytes(b"\x00\x7e" + blocks(PUSH.to_octets() * 2, 20, [1, 3, 2, 4]))
    done = run("decode", "--json", "--binary", str(capture))
    assert done.returncode == 1
    reason = "general block transfer out of order: whole message dropped"
    assert json.loads(done.stdout) == {"messages": [], "dropped": [{"offset": 2, "reason": reason}]}
    assert "dropped at octet 2" in run("decode", "--binary", str(capture)).stdout


def test_decode_ciphered(run: Run, bench: Any) -> None:
    keys = SecuritySettings(0, bench.ENCRYPTION_KEY, bench.AUTHENTICATION_KEY, general=True)
    sender = SecurityContext(keys, bench.METER_TITLE)
    line = b"".join(ui(b"\xe6\xe7\x00" + sender.protect(PUSH.to_octets(), n)) for n in (5, 6))
    line += line[: len(line) // 2]
    encryption = ["--encryption-key", bench.ENCRYPTION_KEY.hex()]
    authentication = ["--authentication-key", bench.AUTHENTICATION_KEY.hex()]
    done = run("decode", "--json", *encryption, *authentication, stdin=line.hex())
    found = json.loads(done.stdout)
    assert [each["ciphering"]["invocation_counter"] for each in found["messages"]] == [5, 6]
    assert found["messages"][0]["ciphering"]["tag_verified"] is True
    assert found["messages"][0]["values"] == VALUES
    assert "replay" in found["dropped"][0]["reason"]
    assert run("decode", "--json", *encryption, stdin=line.hex()).returncode == 1
    unknown = run("decode", "--json", *encryption, "--authentication-key-unknown", stdin=line.hex())
    assert json.loads(unknown.stdout)["messages"][0]["ciphering"]["tag_verified"] is False


def test_decode_marks_a_wrong_fcs(run: Run) -> None:
    octets = bytearray(ui(b"\xe6\xe7\x00" + PUSH.to_octets()))
    octets[-3] ^= 1
    found = json.loads(run("decode", "--json", stdin=octets.hex()).stdout)
    assert found["messages"][0]["link"]["fcs"] is False


def test_usage_errors_exit_2(run: Run) -> None:
    assert run("decode", "--link", "pigeon").returncode == 2
    assert run("decode", stdin="no hex").returncode == 2
    assert run("read", "3:1.0.1.8.0.255:2").returncode == 2
    assert run("read", "--host", "127.0.0.1", "nonsense").returncode == 2
    keys = run("decode", "--encryption-key", "00112233445566778899aabbccddeef")
    assert keys.returncode == 2
    assert "0011" not in keys.stderr


def test_explain_frames_apdus_and_ciphered_ones(run: Run, bench: Any) -> None:
    _, octets, _ = framed("hdlc")
    shown = run("explain", octets.hex())
    assert "HDLC UI" in shown.stdout
    assert "DataNotification" in shown.stdout
    assert "double-long-unsigned 5" in shown.stdout
    keys = SecuritySettings(0, bench.ENCRYPTION_KEY, bench.AUTHENTICATION_KEY, general=True)
    closed = SecurityContext(keys, bench.METER_TITLE).protect(PUSH.to_octets(), 9).hex()
    assert "closed" in run("explain", closed).stdout
    opened = run(
        "explain",
        "--json",
        closed,
        HESPER_DLMS_ENCRYPTION_KEY=bench.ENCRYPTION_KEY.hex(),
        HESPER_DLMS_AUTHENTICATION_KEY=bench.AUTHENTICATION_KEY.hex(),
    )
    assert "tag verified" in opened.stdout
    assert bench.ENCRYPTION_KEY.hex() not in opened.stdout
    login = apdu.Aarq(1, apdu.InitiateRequest().to_octets(), 1, b"12345678").to_octets().hex()
    assert "12345678" not in run("explain", login).stdout
    assert "3132333435363738" not in run("explain", login).stdout
    assert "no APDU" in run("explain", "ffff").stdout


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
    if login == "gmac":
        options += ["--keys-file", str(keys)]
    asked = ["3:1.0.1.8.0.255:2", "1:0.0.42.0.0.255:2", "8:0.0.1.0.0.255:2"]
    for _ in range(2):
        done = run("read", *options, "--json", *asked)
        assert done.returncode == 0, done.stderr
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
        "columns": ["8:0.0.1.0.0.255:2", "3:1.0.1.8.0.255:2"],
        "capture_period_s": 900,
        "rows": [
            ["hex:07ea0101ff0a000000000000", 100],
            ["hex:07ea0101ff0a0f0000000000", 101],
        ],
    }
    selection = apdu.selector_of(meter.selections[-1])
    assert isinstance(selection, apdu.RangeSelector)
    assert selection.from_.local().isoformat() == "2026-01-01T00:00:00"
    assert "2026-01-01 10:15:00" in run("profile", *options, "1.0.99.1.0.255").stdout
    listed = json.loads(run("objects", *options, "--json").stdout)
    assert listed[1] == {"class_id": 8, "version": 0, "logical_name": "0.0.1.0.0.255"}


def test_refusals_exit_1(run: Run, meter: Any, tcp_meter: Callable[..., Any]) -> None:
    options = way(tcp_meter(meter.server))
    wrong = ["--client", "2", "--authentication", "lls", "--password", "wrong"]
    refused = run("read", *options, *wrong, "3:1.0.1.8.0.255:2")
    assert refused.returncode == 1
    assert "rejected" in refused.stderr
    assert "wrong" not in refused.stderr
    nobody = run("read", "--host", "127.0.0.1", "--port", "1", "3:1.0.1.8.0.255:2")
    assert nobody.returncode == 1
    assert "cannot be reached" in nobody.stderr


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
