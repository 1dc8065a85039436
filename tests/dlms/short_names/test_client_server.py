"""Our client with short names and our meter, opposite each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, EntrySelector, RangeSelector, VariableName
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.client import AssociationSettings, Client, SecuritySettings
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import AssociationRejected, LinkError, LocalError, ServiceError
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.server.session import Session
from hesper_dlms.short_names import ShortNames
from hesper_dlms.wrapper import wrap

CLIENTS = {"none": 16, "lls": 2, "gmac-ciphered": 1, "gmac-plain": 3}
PROFILE = CosemAttribute(7, obis.LOAD_PROFILE_1, 2)
RELAY = obis.parse("0.0.96.3.10.255")

everyone = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


@everyone
@pytest.mark.parametrize("max_pdu", [64, 300, 0xFFFF])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_reads_by_the_association_view(
    bench: Any, seat: Callable[..., Any], client: int, max_pdu: int, chunk: int
) -> None:
    opposite = seat(client, chunk, max_pdu=max_pdu)
    run, reader = opposite.run, opposite.client
    assert run(reader.get(bench.ENERGY)).as_int() == 1234567
    assert run(reader.get(bench.LONG)).as_octets() == bytes(range(256)) * 20
    values = run(reader.get_many([bench.ENERGY, CosemAttribute(3, RELAY, 2), bench.NAME]))
    assert values[0].as_int() == 1234567
    assert (values[1].code, values[1].kind) == (4, "data-access-result")
    assert values[2].as_octets() == b"HSP0012642984000"
    run(reader.release())


def test_the_octets_between_them(bench: Any, seat: Callable[..., Any], names: ShortNames) -> None:
    opposite = seat(16, base_names=names)
    opposite.run(opposite.client.get_many([bench.ENERGY, bench.NAME]))
    assert opposite.sent[-1].hex() == "050202010802fd08"
    assert (
        opposite.received[-1].hex()
        == "0c02000600" + "12d687" + "000910" + b"HSP0012642984000".hex()
    )
    assert opposite.received[0].hex().endswith("fa00")


def test_a_table_of_base_names_spares_the_association_view(
    bench: Any, seat: Callable[..., Any]
) -> None:
    table = {(bench.ENERGY.class_id, bench.ENERGY.logical_name): 0x0100}
    opposite = seat(16, base_names=table)
    before = len(opposite.sent)
    assert opposite.run(opposite.client.get(bench.ENERGY)).as_int() == 1234567
    assert len(opposite.sent) == before + 1
    with pytest.raises(ServiceError, match="object-undefined"):
        opposite.run(opposite.client.get(bench.NAME))
    assert len(opposite.sent) == before + 1


@pytest.mark.parametrize("client", [2, 1, 3])
@pytest.mark.parametrize("size", [10, 1000])
def test_writes_in_one_piece_and_in_blocks(
    bench: Any, meter: Any, seat: Callable[..., Any], client: int, size: int
) -> None:
    opposite = seat(client)
    opposite.client._channel.meter_max_pdu = 100  # as a meter with small buffers grants
    written = axdr.octet_string(bytes(size))
    opposite.run(opposite.client.set(bench.NAME, written))
    assert meter.values[bench.NAME] == axdr.encode(written)
    assert max(map(len, opposite.sent[1:])) <= 100 or client != 2


def test_a_refused_write_says_why(bench: Any, seat: Callable[..., Any]) -> None:
    opposite = seat(16)
    with pytest.raises(ServiceError, match="read-write-denied"):
        opposite.run(opposite.client.set(bench.NAME, axdr.octet_string(b"no")))


@pytest.mark.parametrize(
    ("selector", "number"),
    [
        (EntrySelector(1, 2), 2),
        (
            RangeSelector(
                CosemDateTime.from_octets(bytes.fromhex("07ea0101ff00000000000000")),
                CosemDateTime.from_octets(bytes.fromhex("07ea0102ff00000000000000")),
            ),
            1,
        ),
    ],
)
@pytest.mark.parametrize("limit", [40, 0xFFFF])
def test_a_profile_by_parameterized_access(
    meter: Any, seat: Callable[..., Any], selector: Any, number: int, limit: int
) -> None:
    opposite = seat(16)
    opposite.run(opposite.client.short_names())
    opposite.client._channel.meter_max_pdu = limit  # a long request leaves in blocks
    rows = opposite.run(opposite.client.get(PROFILE, selector)).as_items()
    assert len(rows) == 2
    assert meter.selections[-1] == selector.to_selection()
    assert meter.selections[-1].selector == number


def test_methods_are_written_to_or_read(meter: Any, seat: Callable[..., Any]) -> None:
    opposite = seat(2)
    method = CosemMethod(70, RELAY, 1)
    assert opposite.run(opposite.client.action(method, axdr.integer(0))) is None
    assert opposite.sent[-1].hex() == "0601022020010f00"
    assert meter.actions == [axdr.encode(axdr.integer(0))]
    asked = CosemMethod(7, obis.LOAD_PROFILE_1, 3)
    given = axdr.structure(axdr.unsigned(1))
    assert opposite.run(opposite.client.action(asked, given)) == given
    assert opposite.sent[-1].hex() == "0501040468000201" + "1101"
    with pytest.raises(ServiceError, match="object-undefined"):
        opposite.run(opposite.client.action(CosemMethod(70, obis.CLOCK, 1)))


def test_raw_reads_and_writes(bench: Any, meter: Any, seat: Callable[..., Any]) -> None:
    opposite = seat(2)
    accesses = [VariableName(0x0108), VariableName(0x0109), VariableName(0x3000)]
    results = opposite.run(opposite.client.read_short(accesses))
    assert results == [meter.values[bench.ENERGY], 4, 4]
    codes = opposite.run(
        opposite.client.write_short([0xFD08, 0x0001], [axdr.octet_string(b"n"), axdr.unsigned(1)])
    )
    assert codes == [0, 4]
    assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(b"n"))


def test_an_unconfirmed_write_is_not_answered(bench: Any, meter: Any) -> None:
    session = Session(LogicalServer(meter), 2)
    _open(session, bench.settings(2, referencing=Referencing.SHORT_NAME))
    written = apdu.Written((VariableName(0xFD08),), (b"\x09\x01n",))
    assert session.answer(apdu.UnconfirmedWriteRequest(written).to_octets()) is None
    assert meter.values[bench.NAME] == b"\x09\x01n"


def test_a_client_writes_without_an_answer(
    bench: Any, meter: Any, seat: Callable[..., Any]
) -> None:
    opposite = seat(1)
    opposite.run(opposite.client.tell_short([0xFD08], [axdr.octet_string(b"told")]))
    assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(b"told"))
    assert (opposite.sent[-1][0], opposite.received[-1]) == (0x36, b"")
    assert opposite.run(opposite.client.get(bench.NAME)).as_octets() == b"told"


def test_an_information_report_between_is_set_apart(bench: Any, seat: Callable[..., Any]) -> None:
    opposite = seat(16)
    written = apdu.Written((VariableName(0x0108),), (axdr.encode(axdr.unsigned(7)),))
    report = apdu.InformationReport(None, written).to_octets()
    exchange = opposite.client.get(bench.ENERGY)
    next(exchange)
    view = apdu.ReadResponse((axdr.encode(opposite.names.object_list()),)).to_octets()
    request = exchange.send(wrap(1, 16, report) + wrap(1, 16, view))
    assert request[8:].hex() == "0501020108"
    with pytest.raises(StopIteration):
        exchange.send(wrap(1, 16, apdu.ReadResponse((b"\x11\x01",)).to_octets()))
    (notification,) = opposite.client.take_notifications()
    assert apdu.parse(notification.apdu) == apdu.InformationReport(None, written)


def test_other_services_get_a_confirmed_service_error(bench: Any, meter: Any) -> None:
    session = Session(LogicalServer(meter), 16)
    _open(session, bench.settings(16, referencing=Referencing.SHORT_NAME))
    request = apdu.GetRequestNormal(0xC1, bench.ENERGY).to_octets()
    assert session.answer(request) == apdu.ConfirmedServiceError(5, 3, 2).to_octets()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("0501050001", "0c010110"),  # no long read in progress
        ("05010600000301aa", "0c010113"),  # a read block out of turn
        ("060107000003010901aa", "0d010113"),  # a write block out of turn
        ("060107000001020901aa0901aa", "0d01010c"),  # two values for one block
        ("060102fd0800", "0d0101fa"),  # fewer values than names
        ("0501022020", "0c010103"),  # a method is not read without parameters
        ("0502050001050002", "0c0201fa01fa"),  # blocks do not come in lists
        ("05010430090000", "0c010104"),  # parameterized access to nothing
        ("05010600000101ff", "0c01030001"),  # the first block of a long read
    ],
)
def test_refusals(bench: Any, meter: Any, request_: str, answer: str) -> None:
    session = Session(LogicalServer(meter), 2)
    _open(session, bench.settings(2, referencing=Referencing.SHORT_NAME))
    found = session.answer(bytes.fromhex(request_))
    assert found is not None
    assert found.hex() == answer


def test_blocks_that_add_up_to_nonsense_are_refused(bench: Any, meter: Any) -> None:
    session = Session(LogicalServer(meter), 2)
    _open(session, bench.settings(2, referencing=Referencing.SHORT_NAME))
    assert session.answer(bytes.fromhex("05010601000101ff")) == bytes.fromhex("d80203")


def test_contexts_must_fit_the_role(bench: Any, seat: Callable[..., Any], meter: Any) -> None:
    with pytest.raises(AssociationRejected) as refused:
        seat(5)
    assert refused.value.diagnostic == 2
    session = Session(LogicalServer(meter), 16)
    initiate = apdu.InitiateRequest().to_octets()
    answer = apdu.parse(session.answer(apdu.Aarq(1, initiate).to_octets()) or b"")
    assert isinstance(answer, apdu.Aare)
    assert answer.diagnostic == 2


@pytest.mark.parametrize("client", [1, 3])
def test_a_wrong_proof_is_refused(bench: Any, seat: Callable[..., Any], client: int) -> None:
    wrong = SecuritySettings(0, bench.ENCRYPTION_KEY, bytes(16))
    with pytest.raises((AssociationRejected, ServiceError)):
        seat(client, security=wrong)


def test_raw_names_need_short_names(bench: Any) -> None:
    settings = bench.settings(16)
    meter = LogicalServer(bench.Meter())
    connection = ServerConnection(meter, WrapperServerLink(1))
    client = Client(settings.over_wrapper(), settings)
    bench.run(client.connect(), connection.receive)
    with pytest.raises(LocalError, match="logical names"):
        bench.run(client.short_names(), connection.receive)


def _open(session: Session, settings: AssociationSettings) -> None:
    context = apdu.ApplicationContext.of(settings.referencing, ciphered=False)
    low = settings.authentication is Authentication.LOW
    aarq = apdu.Aarq(
        context,
        apdu.InitiateRequest(settings.proposed).to_octets(),
        settings.authentication,
        settings.password if low else None,
    )
    answer = apdu.parse(session.answer(aarq.to_octets()) or b"")
    assert isinstance(answer, apdu.Aare)
    answer.check()


def test_requests_in_blocks_that_are_requests_in_blocks(bench: Any, meter: Any) -> None:
    session = Session(LogicalServer(meter), 16)
    initiate = apdu.InitiateRequest(apdu.SHORT_NAME_SERVICES).to_octets()
    session.answer(apdu.Aarq(2, initiate).to_octets())
    nested = apdu.ReadRequest((VariableName(0x0100),)).to_octets()[1:]
    for _ in range(3000):
        block = apdu.ReadDataBlockAccess(last=True, number=1, octets=nested)
        nested = apdu.ReadRequest((block,)).to_octets()[1:]
    answer = apdu.parse(session.answer(b"\x05" + nested) or b"")
    assert answer == apdu.ReadResponse((apdu.DataAccessResult.OTHER_REASON,))


def test_a_list_cannot_ask_for_more_than_memory_holds(bench: Any, meter: Any) -> None:
    long = axdr.encode(axdr.octet_string(bytes(1 << 20)))
    reads = 0

    class Long(type(meter)):  # type: ignore[misc]
        def get(self, *asked: Any) -> bytes:
            nonlocal reads
            reads += 1
            return long

    session = Session(LogicalServer(Long()), 16)
    _open(session, bench.settings(16, referencing=Referencing.SHORT_NAME))
    session.answer(apdu.ReadRequest((VariableName(0x0108),) * 3000).to_octets())
    assert 0 < reads * len(long) < 1 << 25


@pytest.mark.parametrize("silence", [True, False], ids=["silence", "given up"])
def test_a_late_answer_is_never_taken_for_the_next_read(
    bench: Any, seat: Callable[..., Any], names: ShortNames, silence: bool
) -> None:
    opposite = seat(16, base_names=names)
    exchange = opposite.client.get(bench.ENERGY)
    next(exchange)
    if silence:
        with pytest.raises(LinkError):
            exchange.send(b"")
    else:
        exchange.close()
    with pytest.raises(LinkError, match="connect again"):
        next(opposite.client.get(bench.NAME))
    opposite.run(opposite.client.connect())
    assert opposite.run(opposite.client.get(bench.ENERGY)).as_int() == 1234567


def test_lists_shrink_to_what_fits_without_blocks(bench: Any, meter: Any) -> None:
    blocks = apdu.Conformance.BLOCK_TRANSFER_WITH_GET | apdu.Conformance.BLOCK_TRANSFER_WITH_SET
    settings = bench.settings(
        2, referencing=Referencing.SHORT_NAME, conformance=apdu.SHORT_NAME_SERVICES & ~blocks
    )
    connection = ServerConnection(LogicalServer(meter, max_pdu=64), WrapperServerLink(1))
    client = Client(settings.over_wrapper(), settings)
    bench.run(client.connect(), connection.receive)
    values = [axdr.octet_string(bytes((number,)) * 20) for number in range(5)]
    written = bench.run(client.set_many([bench.NAME] * 5, values), connection.receive)
    assert written == [None] * 5
    read = bench.run(client.get_many([bench.NAME] * 30), connection.receive)
    assert [each.as_octets() for each in read] == [bytes((4,)) * 20] * 30


def test_nothing_is_added_to_a_write_that_is_complete(bench: Any, meter: Any) -> None:
    session = Session(LogicalServer(meter), 2)
    _open(session, bench.settings(2, referencing=Referencing.SHORT_NAME))
    written = apdu.Written((VariableName(0xFD08),), (axdr.encode(axdr.octet_string(b"a")),))
    answers = []
    for number, octets in ((1, written.to_octets()), (2, b"")):
        access = apdu.WriteDataBlockAccess(last=True, number=number)
        block = apdu.Written((access,), (axdr.encode(axdr.octet_string(octets)),))
        answers.append(session.answer(apdu.WriteRequest(block).to_octets()))
    assert [each.hex() for each in answers if each] == ["0d0100", "0d010113"]
