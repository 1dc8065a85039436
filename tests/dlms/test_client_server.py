"""Client against server, in memory, over every link and authentication."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, EntrySelector, selector_of
from hesper_dlms.client import Client
from hesper_dlms.errors import (
    AssociationRejected,
    InvocationCounterError,
    LocalError,
    SecurityError,
    ServiceError,
)
from hesper_dlms.server import (
    HdlcMultidrop,
    HdlcServerLink,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
    WrapperShared,
)

METHOD = CosemMethod(70, obis.DISCONNECT_CONTROL, 1)


class Pair:
    """A client and a meter on one link."""

    def __init__(self, bench: Any, link: str, client: int, **other: Any) -> None:
        self.bench = bench
        self.meter = bench.Meter()
        self.server = LogicalServer(self.meter, max_pdu=other.pop("meter_pdu", 0xFFFF))
        self.settings = bench.settings(client, **other)
        hdlc = link == "hdlc"
        self.connection = ServerConnection(
            self.server, HdlcServerLink(1, 17) if hdlc else WrapperServerLink(1)
        )
        over = self.settings.over_hdlc(17) if hdlc else self.settings.over_wrapper()
        self.client = Client(over, self.settings)
        self.chunk = 1 << 20

    def run(self, exchange: Any) -> Any:
        return self.bench.run(exchange, self.connection.receive, self.chunk)


@pytest.fixture(params=["wrapper", "hdlc"])
def link(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[16, 2, 1, 3], ids=["none", "lls", "gmac-ciphered", "gmac-plain"])
def client(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_connect_read_release(bench: Any, link: str, client: int, chunk: int) -> None:
    pair = Pair(bench, link, client)
    pair.chunk = chunk
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)) == axdr.double_long_unsigned(1234567)
    assert pair.run(pair.client.get(bench.NAME)).value == b"HSP0012642984000"
    with pytest.raises(ServiceError) as refused:
        pair.run(pair.client.get(CosemAttribute(1, obis.CLOCK, 2)))
    assert refused.value.code == apdu.DataAccessResult.OBJECT_UNDEFINED
    pair.run(pair.client.release())
    with pytest.raises(LocalError):
        pair.run(pair.client.get(bench.ENERGY))
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
    pair.run(pair.client.release())


@pytest.mark.parametrize("max_pdu", [0, 64, 128, 560, 0xFFFF])
def test_long_values_both_ways_within_both_limits(
    bench: Any, link: str, client: int, max_pdu: int
) -> None:
    pair = Pair(bench, link, client, max_pdu=max_pdu, meter_pdu=max_pdu or 0xFFFF)
    pair.run(pair.client.connect())
    expected = pair.meter.values[bench.LONG]
    assert pair.run(pair.client.get_octets(bench.LONG)) == expected
    if client == 16:
        return
    data = axdr.octet_string(bytes(range(256)) * 3)
    pair.run(pair.client.set(bench.NAME, data))
    assert pair.meter.values[bench.NAME] == axdr.encode(data)
    assert pair.run(pair.client.action(METHOD, data)) == data
    assert pair.run(pair.client.action(METHOD)) is None
    assert pair.meter.actions == [axdr.encode(data), None]


def test_apdus_stay_within_the_agreed_sizes(bench: Any) -> None:
    pair = Pair(bench, "wrapper", 1, max_pdu=200, meter_pdu=150)
    pair.run(pair.client.connect())
    sizes: list[tuple[int, int]] = []

    def watch(octets: bytes) -> bytes:
        answer = pair.connection.receive(octets)
        sizes.append((len(octets) - 8, len(answer) - 8))
        return answer

    data = axdr.octet_string(bytes(1000))
    bench.run(pair.client.set(bench.NAME, data), watch)
    bench.run(pair.client.get(bench.LONG), watch)
    assert max(asked for asked, _ in sizes) <= 150
    assert 150 < max(answered for _, answered in sizes) <= 200


def test_get_many_with_refusals_and_blocks(bench: Any, link: str, client: int) -> None:
    pair = Pair(bench, link, client, max_pdu=200, with_list_limit=3)
    pair.run(pair.client.connect())
    missing = CosemAttribute(1, obis.CLOCK, 2)
    asked = [bench.ENERGY, missing, bench.LONG, bench.NAME, bench.ENERGY, bench.NAME, missing]
    values = pair.run(pair.client.get_many(asked))
    assert [getattr(value, "code", None) for value in values] == [
        None,
        4,
        None,
        None,
        None,
        None,
        4,
    ]
    assert values[0].value == 1234567
    assert len(values[2].value) == 5120


def test_selection_reaches_the_objects(bench: Any) -> None:
    pair = Pair(bench, "wrapper", 1)
    pair.run(pair.client.connect())
    pair.run(pair.client.get(bench.ENERGY, EntrySelector(2, 5)))
    selection = pair.meter.selections[-1]
    assert selection is not None
    assert selector_of(selection) == EntrySelector(2, 5)


@pytest.mark.parametrize(
    ("client", "change"),
    [
        (2, {"password": b"wrong"}),
        (16, {"client_address": 2}),
        (2, {"client_address": 16}),
        (16, {"client_address": 99}),
        (3, {"client_address": 1}),
    ],
)
def test_wrong_credentials_are_rejected(
    bench: Any, link: str, client: int, change: dict[str, Any]
) -> None:
    from dataclasses import replace

    pair = Pair(bench, link, client)
    settings = replace(pair.settings, **change)
    over = settings.over_hdlc(17) if link == "hdlc" else settings.over_wrapper()
    with pytest.raises(AssociationRejected):
        pair.run(Client(over, settings).connect())


def test_wrong_keys_are_refused_on_both_sides(bench: Any, link: str) -> None:
    from hesper_dlms.security import SecuritySettings

    wrong = SecuritySettings(0, bytes(16), bench.AUTHENTICATION_KEY)
    ciphered, plain = (Pair(bench, link, client, security=wrong) for client in (1, 3))
    with pytest.raises(ServiceError) as refused:
        ciphered.run(ciphered.client.connect())
    assert refused.value.kind == "exception-response"
    with pytest.raises(AssociationRejected):
        plain.run(plain.client.connect())


def test_a_used_counter_is_refused_with_the_one_expected(bench: Any, link: str) -> None:
    pair = Pair(bench, link, 1, counter=bench.Counter(100))
    pair.run(pair.client.connect())
    used = pair.settings.invocation_counter.next
    pair.settings.invocation_counter.next = 50
    over = pair.settings.over_hdlc(17) if link == "hdlc" else pair.settings.over_wrapper()
    again = Client(over, pair.settings)
    with pytest.raises(InvocationCounterError) as refused:
        pair.run(again.connect())
    assert refused.value.expected == used
    pair.settings.invocation_counter.next = used
    pair.run(again.connect())
    assert pair.run(again.get(bench.ENERGY)).value == 1234567


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("dedicated", [None, bytes(16)])
def test_ciphering_forms(bench: Any, general: bool, dedicated: bytes | None) -> None:
    from dataclasses import replace

    keys = replace(bench.Meter.security, general=general, dedicated_key=dedicated)
    pair = Pair(bench, "wrapper", 1, security=keys)
    asked: list[int] = []

    def watch(octets: bytes) -> bytes:
        asked.append(octets[8])
        answer = pair.connection.receive(octets)
        asked.append(answer[8])
        return answer

    pair.run(pair.client.connect())
    assert bench.run(pair.client.get(bench.ENERGY), watch).value == 1234567
    service = (0xD0, 0xD4) if dedicated else (0xC8, 0xCC)
    tag = 0xDC if dedicated else 0xDB
    assert tuple(asked) == ((tag, tag) if general else service)


def test_a_plain_request_in_a_ciphered_association_is_refused(bench: Any) -> None:
    from hesper_dlms.wrapper import wrap

    pair = Pair(bench, "wrapper", 1)
    pair.run(pair.client.connect())
    request = apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()
    answer = apdu.parse(pair.connection.receive(wrap(1, 1, request))[8:])
    assert isinstance(answer, apdu.ExceptionResponse)


def test_nothing_is_served_before_the_challenge_is_met(bench: Any) -> None:
    from hesper_dlms.wrapper import wrap

    pair = Pair(bench, "wrapper", 3)
    exchange = pair.client.connect()
    pair.connection.receive(next(exchange))
    request = apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()
    answer = apdu.parse(pair.connection.receive(wrap(3, 1, request))[8:])
    assert isinstance(answer, apdu.ExceptionResponse)


@pytest.mark.parametrize("spoil", ["flip", "replay", "strip", "plain"])
def test_answers_that_were_tampered_with_are_refused(bench: Any, spoil: str) -> None:
    from hesper_dlms.wrapper import wrap

    pair = Pair(bench, "wrapper", 1)
    pair.run(pair.client.connect())
    recorded: list[bytes] = []

    def record(octets: bytes) -> bytes:
        recorded.append(pair.connection.receive(octets))
        return recorded[-1]

    bench.run(pair.client.get(bench.ENERGY), record)

    def attack(octets: bytes) -> bytes:
        answer = pair.connection.receive(octets)
        if spoil == "flip":
            return answer[:-20] + bytes((answer[-20] ^ 1,)) + answer[-19:]
        if spoil == "replay":
            return recorded[0]
        if spoil == "strip":
            body = bytes((0x20,)) + answer[11:-12]
            return wrap(1, 1, bytes((0xCC, len(body))) + body)
        result = pair.meter.values[bench.ENERGY]
        return wrap(1, 1, apdu.GetResponseNormal(0xC2, result).to_octets())

    with pytest.raises(SecurityError):
        bench.run(pair.client.get(bench.ENERGY), attack)


def test_a_meter_with_another_title_is_refused(bench: Any) -> None:
    pair = Pair(bench, "wrapper", 1, meter_system_title=b"OTHERMTR")
    with pytest.raises(SecurityError, match="title"):
        pair.run(pair.client.connect())


def test_late_answers_are_passed_over(bench: Any) -> None:
    pair = Pair(bench, "wrapper", 16)
    pair.run(pair.client.connect())
    stale: list[bytes] = []

    def record(octets: bytes) -> bytes:
        stale.append(pair.connection.receive(octets))
        return stale[-1]

    bench.run(pair.client.get(bench.NAME), record)
    value = bench.run(
        pair.client.get(bench.ENERGY), lambda octets: stale[0] + pair.connection.receive(octets)
    )
    assert value.value == 1234567


def test_notifications_between_answers_are_set_apart(bench: Any, link: str) -> None:
    pair = Pair(bench, link, 16)
    pair.run(pair.client.connect())
    note = apdu.DataNotification(7, None, axdr.encode(axdr.unsigned(5))).to_octets()
    pushed = pair.connection.push(note, 16)
    value = bench.run(
        pair.client.get(bench.ENERGY), lambda octets: pushed + pair.connection.receive(octets)
    )
    assert value.value == 1234567
    assert [each.apdu for each in pair.client.take_notifications()] == [note]


def test_many_meters_on_one_line_and_behind_one_connection(bench: Any) -> None:
    meters = {number: bench.Meter() for number in (17, 18, 19)}
    for number, meter in meters.items():
        meter.values[bench.ENERGY] = axdr.encode(axdr.double_long_unsigned(number))
    servers = {number: LogicalServer(meter) for number, meter in meters.items()}
    line = HdlcMultidrop(servers)
    shared = WrapperShared(servers)
    for number in servers:
        on_line = bench.settings(1, received_counters={})
        client = Client(on_line.over_hdlc(number), on_line)
        bench.run(client.connect(), line.receive)
        assert bench.run(client.get(bench.ENERGY), line.receive).value == number
        bench.run(client.release(), line.receive)
        behind = bench.settings(16, server_address=number)
        client = Client(behind.over_wrapper(), behind)
        bench.run(client.connect(), shared.receive)
        assert bench.run(client.get(bench.ENERGY), shared.receive).value == number
