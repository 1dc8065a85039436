"""Signing on by IEC 62056-21 mode E, byte by byte, without a line."""

from __future__ import annotations

import pytest
from hesper_dlms.errors import LinkError, LocalError
from hesper_dlms.mode_e import Identification, LineSettings, MeterSignOn, SignOn, Step, sign_on
from hypothesis import given
from hypothesis import strategies as st

SLOW = LineSettings(300, "7E1")
HXE = rb"/HXE5\2HXE12" + b"\r\n"


def steps_of(exchange: SignOn, answers: list[bytes]) -> tuple[list[Step], Identification]:
    """Run a sign-on; each step that reads gets the next answer, silence when there is none."""
    taken = [next(exchange)]
    left = iter(answers)
    try:
        while True:
            taken.append(exchange.send(next(left, b"") if taken[-1].timeout_s else b""))
    except StopIteration as end:
        return taken, end.value


def said(steps: list[Step]) -> list[tuple[int, str, bytes]]:
    return [(*step.line, step.octets) for step in steps]


def test_the_conversation_byte_by_byte() -> None:
    steps, meter = steps_of(sign_on(), [HXE, b"", b"\x06252\r\n"])
    assert said(steps) == [
        (300, "7E1", b"/?!\r\n"),
        (300, "7E1", b"\x06252\r\n"),
        (9600, "7E1", b""),
        (9600, "8N1", b""),
    ]
    assert meter == Identification("HXE", 9600, hdlc=True, text="HXE12")
    assert meter.line == LineSettings(9600, "8N1")


def test_an_address_and_a_speed_that_we_do_not_go_beyond() -> None:
    steps, meter = steps_of(sign_on("12345678", fastest=2400), [HXE, b"", b"\x06232\r\n"])
    assert steps[0].octets == b"/?12345678!\r\n"
    assert (meter.baudrate, steps[1].octets) == (2400, b"\x06232\r\n")


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_an_answer_in_pieces_behind_noise_and_our_own_echo(chunk: int) -> None:
    heard = b"\x00\x7f/?!\r\n" + HXE
    pieces = [heard[at : at + chunk] for at in range(0, len(heard), chunk)]
    _, meter = steps_of(sign_on(), [*pieces, b"\x06252\r\n", b"\xff\x06252\r\n"])
    assert meter.text == "HXE12"


def test_octets_with_their_parity_bit_are_understood() -> None:
    even = bytes(octet | (octet.bit_count() & 1) << 7 for octet in HXE)
    _, meter = steps_of(sign_on(), [even, b"", b"\x06252\r\n"])
    assert meter.manufacturer == "HXE"


@pytest.mark.parametrize(
    ("identification", "speed", "text"),
    [
        (rb"/LGZ5\2ZMD4054407.B21", 9600, "ZMD4054407.B21"),
        (rb"/ISk5\2MT174-0001", 9600, "MT174-0001"),
        (rb"/EMH4\@\2LZQJL0014F", 4800, "LZQJL0014F"),
        (rb"/KFM6\2x", 19200, "x"),
    ],
)
def test_identifications_of_other_makers(identification: bytes, speed: int, text: str) -> None:
    option = f"\x062{'0123456'[[300, 600, 1200, 2400, 4800, 9600, 19200].index(speed)]}2\r\n"
    _, meter = steps_of(sign_on(), [identification + b"\r\n", b"", option.encode()])
    assert (meter.baudrate, meter.text) == (speed, text)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([], "did not answer"),
        ([b"", b"", b""], "did not answer"),
        ([b"/LGZ5ZMD\r\n"], "does not offer HDLC"),
        ([HXE], "did not answer"),
        ([HXE, b"", b"\x06050\r\n"], "another mode"),
        ([b"#" * 100] * 9, "did not answer"),
    ],
)
def test_sign_ons_that_fail(answers: list[bytes], why: str) -> None:
    with pytest.raises(LinkError, match=why):
        steps_of(sign_on(), answers)


def test_a_request_is_said_again_into_silence() -> None:
    steps, _ = steps_of(sign_on(), [b"", b"", HXE, b"", b"\x06252\r\n"])
    assert [step.octets for step in steps[:3]] == [b"/?!\r\n"] * 3


@pytest.mark.parametrize("address", ["no!", "ä", "1" * 33])
def test_addresses_that_cannot_be_sent(address: str) -> None:
    with pytest.raises(LocalError):
        next(sign_on(address))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20))
def test_any_noise_ends_in_a_link_error_or_a_meter(noise: list[bytes]) -> None:
    try:
        steps_of(sign_on(retries=0), noise)
    except LinkError:
        return


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_the_meter_byte_by_byte(chunk: int) -> None:
    meter = MeterSignOn(r"/HXE5\2HXE12")
    heard = b"\xff/?!\r\n\x06252\r\n"
    steps = [
        step for at in range(0, len(heard), chunk) for step in meter.receive(heard[at : at + chunk])
    ]
    assert said(steps) == [
        (300, "7E1", HXE),
        (9600, "7E1", b"\x06252\r\n"),
        (9600, "8N1", b""),
    ]
    assert meter.signed_on
    meter.reset()
    assert (meter.signed_on, meter.line) == (False, SLOW)


@pytest.mark.parametrize(
    ("request_", "answered"),
    [
        (b"/?!\r\n", True),
        (b"/?00012345!\r\n", True),
        (b"/?12345!\r\n", True),
        (b"/?54321!\r\n", False),
        (b"hello\r\n", False),
    ],
)
def test_whom_the_meter_answers(request_: bytes, answered: bool) -> None:
    meter = MeterSignOn(r"/HXE5\2HXE12", "0012345")
    assert bool(meter.receive(request_)) == answered


@pytest.mark.parametrize("option", [b"\x06050\r\n", b"\x06262\r\n", b"\x062X2\r\n", b"\x06252"])
def test_choices_that_the_meter_does_not_take(option: bytes) -> None:
    meter = MeterSignOn(r"/HXE5\2HXE12")
    assert meter.receive(option) == []
    assert not meter.signed_on


@pytest.mark.parametrize(
    "identification", ["HXE5", "/HXE5HXE12", r"/HX5\2HXE12", "", r"/HXE5\2HX€"]
)
def test_identifications_that_are_none(identification: str) -> None:
    with pytest.raises(LocalError):
        MeterSignOn(identification)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_a_meter_survives_any_noise(noise: list[bytes]) -> None:
    meter = MeterSignOn(r"/HXE5\2HXE12")
    for octets in noise:
        meter.receive(octets)


def test_client_and_meter_opposite_each_other() -> None:
    meter = MeterSignOn(r"/HXE6\2HXE12", "77")
    client = sign_on("77")
    waiting: list[Step] = []
    arrived = b""
    step = next(client)
    try:
        while True:
            waiting += meter.receive(step.octets)
            if step.timeout_s and waiting and waiting[0].line == step.line:
                arrived = waiting.pop(0).octets
            step, arrived = client.send(arrived), b""
    except StopIteration as end:
        found = end.value
    assert found.line == meter.line == LineSettings(19200, "8N1")
