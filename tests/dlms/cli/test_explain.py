"""`explain`: every APDU, broken frames, secrets, and the second opinion."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.wrapper import wrap
from hesper_gateway.desk import second_opinion
from hesper_gateway.explain import Explainer, to_json
from patience import PATIENCE_S

Run = Callable[..., Any]

SECRET = b"hush-hush-hush!!"
KEYS = SecuritySettings(0, bytes(range(16)), bytes(range(16, 32)))
TITLE = b"HSPmt\0\0\1"
ENERGY = CosemAttribute(3, bytes((1, 0, 1, 8, 0, 255)), 2)
GET = apdu.GetRequestNormal(0xC1, ENERGY).to_octets()


def explained(octets: bytes, keys: SecuritySettings | None = None) -> str:
    return json.dumps(to_json(Explainer(keys, TITLE).explain(octets)))


def test_names_of_what_is_asked() -> None:
    assert "3:1.0.1.8.0.255:2 (register, value)" in explained(GET)
    action = apdu.ActionRequestNormal(0xC1, CosemMethod(70, bytes((0, 0, 96, 3, 10, 255)), 1), None)
    assert "disconnect_control, remote_disconnect" in explained(action.to_octets())


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (apdu.ExceptionResponse(1, 2), ["service-not-allowed", "service-not-supported"]),
        (apdu.ConfirmedServiceError(1, 6, 0), ["initiate", "value: 0 other"]),
        (apdu.Aare(1, 1, 13), ["rejected-permanent", "authentication-failure"]),
        (apdu.GetResponseNormal(0xC1, 3), ["read-write-denied"]),
    ],
)
def test_refusals_say_why(refusal: Any, told: list[str]) -> None:
    shown = explained(refusal.to_octets())
    assert all(each in shown for each in told), shown


SECRETS = {
    "a password in AARQ": apdu.Aarq(1, apdu.InitiateRequest().to_octets(), 1, SECRET),
    "a dedicated key": apdu.InitiateRequest(dedicated_key=SECRET),
    "one in AARQ": apdu.Aarq(1, apdu.InitiateRequest(dedicated_key=SECRET).to_octets()),
    "the LLS secret written": apdu.SetRequestNormal(
        0xC1, CosemAttribute(15, bytes(6), 7), axdr.encode(axdr.octet_string(SECRET))
    ),
    "a key transferred": apdu.ActionRequestNormal(
        0xC1, CosemMethod(64, bytes(6), 2), axdr.encode(axdr.octet_string(SECRET))
    ),
    "a key for an M-Bus meter": apdu.ActionRequestNormal(
        0xC1, CosemMethod(72, bytes(6), 8), axdr.encode(axdr.octet_string(SECRET))
    ),
    "a secret by short name": apdu.WriteRequest(
        apdu.Written((apdu.VariableName(0xFA10),), (axdr.encode(axdr.octet_string(SECRET)),))
    ),
    "keys among others": apdu.ActionRequestWithList(
        0xC1,
        (CosemMethod(8, bytes(6), 1), CosemMethod(64, bytes(6), 2)),
        (axdr.encode(axdr.integer(0)), axdr.encode(axdr.octet_string(SECRET))),
    ),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_not_shown(name: str) -> None:
    octets = SECRETS[name].to_octets()
    framed = Frame(b"\x03", b"\x21", 0x10, b"\xe6\xe6\x00" + octets).to_octets()
    for given in (octets, framed, wrap(16, 1, octets), framed[:-6]):
        shown = explained(given)
        assert SECRET.hex() not in shown.replace(" ", "")
        assert SECRET.decode() not in shown
        explainer = Explainer()
        explainer.explain(given)
        assert not any(SECRET in each for each in explainer.apdus)


def test_ciphered_apdus_open_with_keys() -> None:
    sealed = SecurityContext(KEYS, TITLE).protect(GET, 5)
    assert "closed" in explained(sealed)
    opened = explained(sealed, KEYS)
    assert "tag verified" in opened
    assert "register, value" in opened
    wrong = SecuritySettings(0, bytes(16), bytes(16))
    assert "cannot be opened" in explained(sealed, wrong)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"", "no APDU"),
        (b"\xff\xff", "no APDU"),
        (GET[:5], "begins like get-request"),
        (b"\x7e", "no whole frame"),
        (b"\x68\x05\x05\x68", "no whole frame"),
        (b"\x00\x01\x00\x10", "cut short"),
        (wrap(1, 16, GET)[:-2], "begins like get-request"),
        (b"\x7e\xa0\x20\x03\x21\x93\x00\x00\x7e", "header check sequence wrong"),
        (b"\x7e\xa0\x20\x02\x02\x02\x02\x02\x02", "no address ends there"),
        (b"noise" + Frame(b"\x03", b"\x21", 0x13, GET).to_octets(), "something else in front"),
        (b"\xe6\xe6\x00\xe6\xe6\x00" + GET, "LLC header of a request (doubled)"),
        (b"\x0f\0\0\0\x01\0\x02\x02\x11\x01\x12", "as far as it goes"),
        (b"/TST5\\x\r\n\r\n1-0:1.8.0(1*Wh)\r\n!\r\n", "1-0:1.8.0(1*Wh)"),
        (b"\x02\x01\x11\x05", "A-XDR without an APDU"),
    ],
)
def test_broken_and_odd_octets(octets: bytes, told: str) -> None:
    shown = explained(octets)
    assert told in shown or (octets == b"" and "0 octets" in shown)


def test_a_frame_cut_short_shows_what_is_there() -> None:
    shown = explained(Frame(b"\x03", b"\x21", 0x10, b"\xe6\xe6\x00" + GET).to_octets()[:-1])
    assert "cut short" in shown
    assert "control 10 I" in shown
    assert "source: 21" in shown


def test_a_second_opinion_beside_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gurux_dlms")
    monkeypatch.setattr(second_opinion, "LIMIT_S", PATIENCE_S)
    done = run("explain", "--second-opinion", "--json", GET.hex())
    found = json.loads(done.stdout)
    assert "register, value" in json.dumps(found["hesper"])
    assert "GetRequestNormal" in found["gurux"][0]
    shown = run("explain", "--second-opinion", GET.hex()).stdout
    assert "register" in shown
    assert "<GetRequest>" in shown
    login = SECRETS["a password in AARQ"].to_octets().hex()
    asked = json.loads(run("explain", "--second-opinion", "--json", login).stdout)
    assert asked["gurux"][0].startswith("not asked")


def test_a_second_opinion_is_never_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gurux_dlms")
    monkeypatch.setattr(second_opinion, "LIMIT_S", PATIENCE_S)
    said = second_opinion.second_opinion([b"\xff\xff", GET])
    assert len(said) == 2
    assert "GetRequestNormal" in said[1]
    with monkeypatch.context() as changed:
        changed.setattr(second_opinion, "LIMIT_S", 0.01)
        assert "no answer" in second_opinion.second_opinion([GET])[0]
    with monkeypatch.context() as changed:
        changed.setattr(sys, "executable", "/nonexistent")
        assert second_opinion.second_opinion([GET]) == ["it broke down"]
    with monkeypatch.context() as changed:
        changed.setattr(second_opinion, "_PACKAGE", "no_such_package")
        assert "not installed" in second_opinion.second_opinion([GET])[0]


def test_stdin_and_exit_codes(run: Run) -> None:
    assert "register" in run("explain", "-", stdin=GET.hex(" ")).stdout
    assert "register" in run("explain", *GET.hex(" ").split()).stdout
    assert run("explain", "zz").returncode == 2
    assert run("explain").returncode == 2


def test_what_trace_wrote_is_explained_from_its_file(run: Run, tmp_path: Path) -> None:
    asked, answered = wrap(16, 1, GET), wrap(1, 16, bytes.fromhex("c401c1000600b71b0c"))
    file = tmp_path / "trace.txt"
    file.write_text(f"-> {asked.hex(' ')}\n<- {answered.hex(' ')}\n")
    done = run("explain", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "3:1.0.1.8.0.255:2" in done.stdout
    assert "12000012" in done.stdout
    long = run("explain", GET.hex() + "00" * 5000)
    assert long.returncode == 0, "too long for the name of a file, and none"


TRACE = """\
-> 00 01 00 02 00 01 00 35 60 33 a1 09 06 07 60 85 74 05 08 01 01 8a 02 07 80 8b 07 60 85 74 05 \
08 02 01 ac 07 80 05 ** ** ** ** ** be 10 04 0e 01 00 00 00 06 5f 1f 04 00 00 5e 1f ff ff
<- 00 01 00 01 00 02 00 19 61 17 a1 09 06 07 60 85 74 05 08 01 01 a2 03 02 01 01 a3 05 a1 03 02 \
01 0d
failed: association rejected (permanent, diagnostic 13)
try: authentication-failure: the password or the keys are not those of this --client
"""


def test_a_trace_of_what_failed_is_explained_as_it_was_kept(run: Run, tmp_path: Path) -> None:
    """It is traced because it fails, and a password in it is starred."""
    file = tmp_path / "trace.txt"
    file.write_text(TRACE)
    done = run("explain", str(file))
    assert done.returncode == 0, done.stderr
    assert "authentication_value: not shown" in done.stdout
    assert "13 (0xD) authentication-failure" in done.stdout


@pytest.mark.parametrize("argument", ["nowhere.hex", "zz"])
def test_no_option_is_named_that_explain_does_not_have(run: Run, argument: str) -> None:
    done = run("explain", argument)
    assert done.returncode == 2
    assert "is not hex text, and no file has that name" in done.stderr
    assert "--binary" not in done.stderr
