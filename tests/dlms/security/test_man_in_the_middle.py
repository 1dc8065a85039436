"""Somebody between our client and our meter, who alters, repeats, swaps, cuts, forges, downgrades.

A session associates, reads, writes, switches, reads a long value and releases. Whatever one message
is turned into, the client returns no value that the meter did not send and reports nothing as done
that was not, and the meter does nothing that was not asked for, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import ApplicationContext, CosemMethod, Mechanism
from hesper_dlms.association import Authentication
from hesper_dlms.errors import DecodeError, DlmsError
from hesper_dlms.security import Form, KeyEstablishment, Protection, Signature
from hesper_dlms.server import ClientRole
from hesper_dlms.wrapper import wrap

RELAY = CosemMethod(70, bytes((0, 0, 96, 3, 10, 255)), 1)
SENT, EVIL = axdr.octet_string(b"as it was sent"), axdr.octet_string(b"as it was not")
PARAMETER = axdr.octet_string(b"once")
UP, DOWN = "up", "down"
GMAC = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
ECDSA = ClientRole(Authentication.HIGH_ECDSA, ciphered=True)
SHA256 = ClientRole(Authentication.HIGH_SHA256, ciphered=True, password=b"a secret for HLS")
ONE_PASS = Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.ONE_PASS)

Alter = Callable[[bytes, "Middle"], list[bytes]]


@dataclass(frozen=True)
class Configuration:
    """What is agreed between the two; every `step`th octet and every `thin`th forgery is tried."""

    suite: int
    role: ClientRole = GMAC
    protection: Protection | None = None
    step: int = 1
    thin: int = 1


CONFIGURATIONS = {
    "glo, suite 0": Configuration(0),
    "general-glo, suite 0": Configuration(0, GMAC, Protection(Form.GENERAL), 3),
    "ded, suite 0": Configuration(0, GMAC, Protection(dedicated=True), 3),
    "SHA-256, suite 0": Configuration(0, SHA256, None, 3),
    "glo, suite 1": Configuration(1, ECDSA, None, 7),
    "glo, suite 2": Configuration(2, GMAC, None, 5),
    "general-ciphering, suite 1": Configuration(1, GMAC, ONE_PASS, 13, 5),
    "general-signing, suite 2": Configuration(
        2, GMAC, replace(Protection(), signature=Signature.INSIDE), 17, 7
    ),
}


@dataclass
class Middle:
    """Stands between client and meter and alters one message of one direction."""

    pair: Any
    direction: str = ""
    index: int = -1
    alter: Alter | None = None
    recorded: dict[str, list[bytes]] = field(default_factory=dict)
    seen: dict[str, list[bytes]] = field(default_factory=lambda: {UP: [], DOWN: []})

    def answer(self, octets: bytes) -> bytes:
        out = b""
        for request in self._through(UP, octets[8:]):
            answer = self.pair.connection.receive(wrap(1, 1, request))
            if answer:
                out += b"".join(wrap(1, 1, each) for each in self._through(DOWN, answer[8:]))
        return out

    def _through(self, direction: str, message: bytes) -> list[bytes]:
        index = len(self.seen[direction])
        self.seen[direction].append(message)
        if self.alter is None or (direction, index) != (self.direction, self.index):
            return [message]
        return self.alter(message, self)


class Session:
    """One session, and what came of it."""

    def __init__(self, bench: Any, security: Any, keys: Any, chosen: Configuration) -> None:
        self.bench = bench
        settings = replace(keys.client, protection=chosen.protection)
        if chosen.protection and chosen.protection.dedicated:
            settings = replace(settings, dedicated_key=bytes(range(16)))
        self.pair = security.Pair(bench, keys, chosen.role, security=settings, max_pdu=2000)
        self.old = self.pair.meter.values[bench.NAME]
        self.read: list[Any] = []
        self.done: list[str] = []

    def run(self, middle: Middle) -> None:
        client, bench = self.pair.client, self.bench

        def through(exchange: Any) -> Any:
            return bench.run(exchange, middle.answer)

        try:
            through(client.connect())
            self.read.append(through(client.get(bench.ENERGY)).value == 1234567)
            through(client.set(bench.NAME, SENT))
            self.done.append("set")
            through(client.action(RELAY, PARAMETER))
            self.done.append("action")
            self.read.append(through(client.get(bench.LONG)).value == bytes(range(256)) * 20)
            through(client.release())
        except DlmsError:
            return

    def check(self) -> None:
        meter = self.pair.meter
        assert all(self.read)
        assert meter.values[self.bench.NAME] in (self.old, axdr.encode(SENT))
        assert meter.actions in ([], [axdr.encode(PARAMETER)])
        if "set" in self.done:
            assert meter.values[self.bench.NAME] == axdr.encode(SENT)
        if "action" in self.done:
            assert meter.actions == [axdr.encode(PARAMETER)]


@pytest.fixture(params=CONFIGURATIONS)
def configured(request: pytest.FixtureRequest, security: Any) -> tuple[Configuration, Any]:
    """A configuration and both sides' keys."""
    chosen = CONFIGURATIONS[request.param]
    return chosen, security.Keys(chosen.suite)


@pytest.fixture
def session(bench: Any, security: Any, configured: Any) -> Callable[[], Session]:
    """Makes sessions of one configuration."""
    chosen, keys = configured
    return lambda: Session(bench, security, keys, chosen)


def honest(session: Callable[[], Session]) -> dict[str, list[bytes]]:
    """Return what goes both ways when nobody interferes."""
    run = session()
    middle = Middle(run.pair)
    run.run(middle)
    run.check()
    assert (run.read, run.done) == ([True, True], ["set", "action"])
    return middle.seen


def tampered(session: Callable[[], Session], alter: Alter, at: tuple[str, int]) -> Session:
    run = session()
    run.run(Middle(run.pair, *at, alter))
    run.check()
    return run


def places(seen: dict[str, list[bytes]]) -> Iterator[tuple[str, int]]:
    for direction, messages in seen.items():
        yield from ((direction, index) for index in range(len(messages)))


def test_any_altered_octet(session: Callable[[], Session], configured: Any) -> None:
    seen = honest(session)
    for direction, index in places(seen):
        size = len(seen[direction][index])
        step = configured[0].step * (1 if size < 300 else 97)
        for place in range(index % step, size, step):

            def flip(message: bytes, _: Middle, place: int = place) -> list[bytes]:
                changed = bytearray(message)
                changed[place % len(changed)] ^= 1 << place % 8
                return [bytes(changed)]

            tampered(session, flip, (direction, index))


WHOLE_MESSAGES: dict[str, Alter] = {
    "lost": lambda message, middle: [],
    "doubled": lambda message, middle: [message, message],
    "the one before again": lambda message, middle: middle.seen[middle.direction][-2:-1],
    "the first again": lambda message, middle: middle.seen[middle.direction][:1],
    "the first and then it": lambda message, middle: [middle.seen[middle.direction][0], message],
    "reflected": lambda message, middle: middle.seen[DOWN if middle.direction == UP else UP][-1:],
    "its last octet cut": lambda message, middle: [message[:-1]],
    "its tag cut": lambda message, middle: [message[:-12]],
    "cut in halves": lambda message, middle: [message[: len(message) // 2]],
    "an octet more": lambda message, middle: [message + b"\x00"],
    "empty": lambda message, middle: [b""],
}


@pytest.mark.parametrize("how", WHOLE_MESSAGES)
def test_messages_lost_repeated_and_cut(session: Callable[[], Session], how: str) -> None:
    for at in places(honest(session)):
        tampered(session, WHOLE_MESSAGES[how], at)


def forged(bench: Any) -> dict[str, list[bytes]]:
    """Return plain APDUs that fit the moment, as somebody without keys can make them."""
    evil = axdr.encode(EVIL)
    context = ApplicationContext.LOGICAL_NAME
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 2000).to_octets()
    down: list[apdu.Apdu] = [
        *(apdu.GetResponseNormal(invoke, evil) for invoke in range(0xC0, 0xC6)),
        *(apdu.SetResponseNormal(invoke, 0) for invoke in range(0xC0, 0xC6)),
        *(apdu.ActionResponseNormal(invoke, 0, None) for invoke in range(0xC0, 0xC6)),
        apdu.ExceptionResponse(1, 1),
        apdu.ExceptionResponse(1, 6, 0),
        apdu.ConfirmedServiceError(1, 6, 3),
        apdu.DataNotification(1, None, evil),
        apdu.Aare(context, 0, 0, granted),
        apdu.Rlre(),
    ]
    initiate = apdu.InitiateRequest(apdu.LOGICAL_NAME_SERVICES, 2000, None).to_octets()
    up: list[apdu.Apdu] = [
        apdu.SetRequestNormal(0xC1, bench.NAME, evil),
        apdu.ActionRequestNormal(0xC1, RELAY, evil),
        apdu.GetRequestNormal(0xC1, bench.LONG),
        apdu.Aarq(context, initiate),
        apdu.Rlrq(),
    ]
    return {UP: [each.to_octets() for each in up], DOWN: [each.to_octets() for each in down]}


@pytest.mark.parametrize("beside", [False, True])
def test_plain_messages_instead_of_ciphered_ones(
    bench: Any, session: Callable[[], Session], configured: Any, beside: bool
) -> None:
    plain = forged(bench)
    thin = configured[0].thin
    for direction, index in places(honest(session)):
        for message in plain[direction][index % thin :: thin]:

            def swap(right: bytes, _: Middle, message: bytes = message) -> list[bytes]:
                return [message, right] if beside else [message]

            tampered(session, swap, (direction, index))


def weaker(message: bytes) -> Iterator[bytes]:
    """Yield a message with less protection named, another key, another suite."""
    try:
        parsed = apdu.parse(message)
    except DecodeError:
        return
    if not isinstance(parsed, apdu.Ciphered):
        return
    for control in {0, 0x10, 0x20, 0x30, 0x31, 0x32, 0x33, 0x70, 0xB0} - {parsed.security_control}:
        yield parsed._replace(security_control=control).to_octets()
        yield parsed._replace(security_control=control, octets=parsed.octets[:-12]).to_octets()
    yield parsed._replace(invocation_counter=parsed.invocation_counter + 1).to_octets()
    yield parsed._replace(invocation_counter=0xFFFFFFFF).to_octets()


def test_weaker_protection_is_not_taken(session: Callable[[], Session], configured: Any) -> None:
    seen = honest(session)
    thin = configured[0].thin
    for direction, index in places(seen):
        count = len(list(weaker(seen[direction][index])))
        for number in range(index % thin, count, thin):

            def weaken(message: bytes, _: Middle, number: int = number) -> list[bytes]:
                return list(weaker(message))[number : number + 1]

            run = tampered(session, weaken, (direction, index))
            assert run.done != ["set", "action"] or len(run.read) < 2


def other_association(message: bytes, seen: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Yield an AARQ or AARE that names another, or whose challenge is weak, missing, reflected."""
    parsed = apdu.parse(message)
    assert isinstance(parsed, apdu.Aarq | apdu.Aare)
    yield parsed._replace(mechanism=Mechanism.LOWEST, authentication_value=None).to_octets()
    yield parsed._replace(system_title=b"SOMEBODY").to_octets()
    for value in (b"", b"short", bytes(16), bytes(80)):
        yield parsed._replace(authentication_value=value).to_octets()
    asked = apdu.parse(seen[UP][0])
    if isinstance(parsed, apdu.Aare) and isinstance(asked, apdu.Aarq):
        yield parsed._replace(authentication_value=asked.authentication_value).to_octets()
        yield parsed._replace(system_title=asked.system_title).to_octets()
        yield parsed._replace(user_information=asked.user_information).to_octets()
        yield parsed._replace(result=1).to_octets()


def other_names(message: bytes, seen: dict[str, list[bytes]]) -> Iterator[bytes]:
    """Yield an AARQ or AARE with another context or mechanism: what is agreed stays in force."""
    parsed = apdu.parse(message)
    assert isinstance(parsed, apdu.Aarq | apdu.Aare)
    for context in ApplicationContext:
        yield parsed._replace(application_context=context).to_octets()
    for mechanism in Mechanism:
        yield parsed._replace(mechanism=mechanism).to_octets()


@pytest.mark.parametrize("change", [other_association, other_names])
@pytest.mark.parametrize("direction", [UP, DOWN])
def test_an_association_that_agrees_on_less(
    session: Callable[[], Session],
    direction: str,
    change: Callable[[bytes, dict[str, list[bytes]]], Iterator[bytes]],
) -> None:
    seen = honest(session)
    for number in range(len(list(change(seen[direction][0], seen)))):

        def changed(message: bytes, middle: Middle, number: int = number) -> list[bytes]:
            return [list(change(message, middle.seen))[number]]

        run = tampered(session, changed, (direction, 0))
        assert change is other_names or run.read == []


def test_answers_of_an_earlier_session(
    bench: Any, security: Any, configured: Any, session: Callable[[], Session]
) -> None:
    """The client keeps the counters that it accepted, so what was recorded is of no use."""
    chosen, keys = configured
    counters: dict[bytes, int] = {}
    ours = bench.Counter()

    def again() -> Session:
        run = Session(bench, security, keys, chosen)
        settings = replace(run.pair.settings, received_counters=counters, invocation_counter=ours)
        run.pair.client = type(run.pair.client)(settings.over_wrapper(), settings)
        return run

    recorded = honest(again)[DOWN]
    for index in range(len(recorded)):

        def replay(_: bytes, middle: Middle, index: int = index) -> list[bytes]:
            return recorded[index : index + 1]

        run = again()
        run.pair.server.sent_counter = 1000 * (index + 1)
        run.run(Middle(run.pair, DOWN, index, replay))
        run.check()
        assert len(run.read) < 2 or index == len(recorded) - 1
