"""What `decode` takes in, what it says with its exit code, and how long it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.hdlc.frames import Frame

Run = Callable[..., Any]

PUSH = apdu.DataNotification(7, None, axdr.encode(axdr.structure(axdr.unsigned(5))))
LINE = Frame(b"\x21", b"\x03", 0x13, b"\xe6\xe7\x00" + PUSH.to_octets()).to_octets()
HEX = LINE.hex()


def pairs(between: str, before: str = "") -> str:
    return between.join(before + HEX[at : at + 2] for at in range(0, len(HEX), 2))


@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX.upper(),
        pairs(" "),
        pairs("\n"),
        pairs("\r\n\t "),
        pairs(":"),
        pairs(","),
        pairs(", ", "0x"),
        pairs(" ", "0X"),
        pairs("-"),
        pairs("", "\\x"),
        f"# a capture\n{pairs(' ')}\n  // the end\n#",
        f"0x{HEX}",
        f"-> {pairs(' ')}\n",
        f"<- {pairs(' ')}\n",
    ],
)
def test_hex_as_people_keep_it(run: Run, text: str) -> None:
    done = run("decode", "--json", stdin=text)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages"][0]["values"] == [5]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n"])
def test_nothing_in_nothing_out(run: Run, text: str) -> None:
    done = run("decode", "--json", "-", stdin=text)
    assert (done.returncode, json.loads(done.stdout)) == (1, {"messages": [], "dropped": []})
    assert "no message" in run("decode", stdin=text).stdout


@pytest.mark.parametrize("text", ["7", "7ea", "no hex", "7e a0 zz", "žluť"])
def test_what_is_no_hex_is_wrong_usage(run: Run, text: str) -> None:
    done = run("decode", "--json", stdin=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hex" in done.stderr


def test_files_and_octets(run: Run, tmp_path: Path) -> None:
    binary = tmp_path / "capture.bin"
    binary.write_bytes(LINE)
    assert run("decode", "--binary", str(binary)).returncode == 0
    text = tmp_path / "capture.hex"
    text.write_text(HEX)
    assert run("decode", str(text)).returncode == 0
    assert run("decode", str(tmp_path / "none")).returncode == 2
    assert run("decode", "--binary", str(text)).returncode == 1
    assert run("decode", "--link", "wrapper", str(text)).returncode == 1


def test_keys_that_are_none(run: Run, tmp_path: Path) -> None:
    assert run("decode", "--authentication-key", "00" * 16, stdin=HEX).returncode == 2
    short = run("decode", "--encryption-key", "0011", stdin=HEX)
    assert (short.returncode, "0011" in short.stderr) == (2, False)
    both = ["--authentication-key", "00" * 16, "--authentication-key-unknown"]
    assert run("decode", "--encryption-key", "00" * 16, *both, stdin=HEX).returncode == 2
    file = tmp_path / "keys.json"
    file.write_text('["secret-text"]')
    broken = run("decode", "--keys-file", str(file), stdin=HEX)
    assert (broken.returncode, "secret-text" in broken.stderr) == (2, False)
    file.write_text(json.dumps({"encryption_key": "00" * 16, "authentication_key": "11" * 16}))
    refused = json.loads(run("decode", "--json", "--keys-file", str(file), stdin=HEX).stdout)
    assert "plain message" in refused["dropped"][0]["reason"]


def test_messages_and_drops_have_their_places(run: Run) -> None:
    wrong = bytearray(LINE)
    wrong[5] ^= 0xFF
    found = json.loads(run("decode", "--json", stdin=(bytes(wrong) + LINE).hex()).stdout)
    assert found["dropped"][0]["offset"] == 0
    assert "header check sequence" in found["dropped"][0]["reason"]
    assert found["messages"][0]["long_invoke_id"] == 7
    assert "ciphering" not in found["messages"][0]


def test_output_is_ascii_whatever_the_meter_says(run: Run) -> None:
    push = apdu.DataNotification(1, None, axdr.encode(axdr.utf8_string("Zähler ⚡")))
    done = run("decode", "--link", "raw", "--json", stdin=push.to_octets().hex())
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["messages"][0]["values"] == "Zähler ⚡"


@pytest.mark.parametrize(
    ("link", "unit"), [("hdlc", "7e"), ("mbus", "68050568"), ("wrapper", "000100010001ffff")]
)
def test_time_grows_with_the_input_alone(command: Callable[..., Any], link: str, unit: str) -> None:
    """Sixteen times the noise may take at most forty times as long, start of the process aside."""
    spent, noise = [], bytes.fromhex(unit)
    for size in (0, 1 << 15, 1 << 19):
        begun = time.perf_counter()
        done = command("decode", "--link", link, "--binary", stdin=noise * (size // len(noise)))
        spent.append(time.perf_counter() - begun)
        assert done.returncode == 1
    start, some, many = spent
    assert many - start < 40 * max(some - start, 0.05)


def test_many_messages(command: Callable[..., Any]) -> None:
    done = command("decode", "--json", stdin=(LINE * 5000).hex())
    assert len(json.loads(done.stdout)["messages"]) == 5000
