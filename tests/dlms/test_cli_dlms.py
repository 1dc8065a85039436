"""`hesper-dlms` with captured frames: decode and explain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.hdlc import Frame
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.wrapper import wrap
from hesper_gateway.explain import Explainer, to_json
from hypothesis import given
from hypothesis import strategies as st

PUSH = apdu.DataNotification(
    77,
    bytes.fromhex("07ea0101ff0a000000800000"),
    axdr.encode(axdr.structure(axdr.octet_string(bytes(6)), axdr.double_long_unsigned(5))),
)
VALUES = ["hex:000000000000", 5]


Run = Callable[..., Any]


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


@given(
    st.binary(max_size=80)
    | st.builds(
        lambda tag, rest: bytes((tag,)) + rest,
        st.sampled_from(bytes.fromhex("01080e0f60616263c0c1c2c3c4c5c7c8cbcccfd0d8dbdce07e6800")),
        st.binary(max_size=60),
    )
)
def test_explain_takes_any_octets(octets: bytes) -> None:
    keys = SecuritySettings(0, bytes(16), bytes(16))
    to_json(Explainer(keys, bytes(8)).explain(octets))


def test_explain_puts_blocks_together_and_names_things() -> None:
    shown = run_explain(blocks(PUSH.to_octets(), 20))
    assert "the whole:" in shown
    assert "double-long-unsigned 5" in shown
    keys = SecuritySettings(0, bytes(16), bytes(16))
    request = apdu.GetRequestNormal(
        0xC1, apdu.CosemAttribute(7, bytes(6), 2), apdu.EntrySelector(1, 2).to_selection()
    )
    sealed = SecurityContext(keys, bytes(8)).protect(request.to_octets(), 1)
    shown = run_explain(sealed, keys)
    assert "C8 glo-get-request" in shown
    assert "suite 0, authenticated, encrypted" in shown
    assert "structure of 4" in shown
    secret = apdu.SetRequestNormal(
        0xC1, apdu.CosemAttribute(15, bytes(6), 7), axdr.encode(axdr.octet_string(b"hush"))
    )
    assert b"hush".hex() not in run_explain(secret.to_octets())


def run_explain(octets: bytes, keys: SecuritySettings | None = None) -> str:
    return json.dumps(to_json(Explainer(keys, bytes(8)).explain(octets)))
