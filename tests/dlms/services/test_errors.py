"""What goes wrong inside services: blocks out of turn, errors between blocks, late answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    ALL_LOGICAL_NAME_SERVICES,
    AccessKind,
    AccessResult,
    Conformance,
    DataBlock,
)
from hesper_dlms.client import AccessAction, AccessGet, AccessSet, Client
from hesper_dlms.errors import DecodeError, InvocationCounterError, ServiceError
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.server.transfer import Outgoing, Service
from hesper_dlms.wrapper import wrap

OWN_ONLY = ALL_LOGICAL_NAME_SERVICES & ~Conformance.GENERAL_BLOCK_TRANSFER
SIZE = 100


@pytest.fixture
def pair(bench: Any, kit: Any) -> Any:
    return kit.Pair(bench, "wrapper", 16, SIZE, OWN_ONLY)


def change(pair: Any, at: int, make: Callable[[Any], Any]) -> None:
    """Replace the meter's answer number `at` by what `make` returns for it."""
    count = 0

    def spoil(octets: bytes) -> bytes:
        nonlocal count
        count += 1
        if count != at:
            return octets
        answers = make(apdu.parse(octets[8:]))
        answers = answers if isinstance(answers, list) else [answers]
        return b"".join(wrap(1, 16, each.to_octets()) for each in answers)

    pair.spoil = spoil


@dataclass(frozen=True)
class Call:
    """One call that needs several blocks, and how."""

    name: str
    start: Callable[[Any, Any], Any]
    prepare: Callable[[Any, Any], None] = lambda pair, kit: None


def fill(pair: Any, kit: Any) -> None:
    for number in range(3):
        pair.objects.values[kit.attribute(number)] = axdr.encode(kit.octets(400, number))


def three(make: Callable[[int], Any]) -> list[Any]:
    return [make(number) for number in range(3)]


CALLS = [
    Call("get", lambda pair, kit: pair.client.get(kit.attribute(1)), fill),
    Call("get-list", lambda pair, kit: pair.client.get_many(three(kit.attribute)), fill),
    Call("set", lambda pair, kit: pair.client.set(kit.attribute(1), kit.octets(400))),
    Call(
        "set-list",
        lambda pair, kit: pair.client.set_many(
            three(kit.attribute), three(lambda at: kit.octets(150, at))
        ),
    ),
    Call("action", lambda pair, kit: pair.client.action(kit.method(1), kit.octets(400))),
    Call(
        "action-list",
        lambda pair, kit: pair.client.action_many(
            three(kit.method), three(lambda at: kit.octets(150, at))
        ),
    ),
]
call = pytest.mark.parametrize("call", CALLS, ids=lambda each: each.name)


@call
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_wrong_block_number_ends_the_transfer(pair: Any, kit: Any, call: Call, at: int) -> None:
    call.prepare(pair, kit)

    def renumber(answer: Any) -> Any:
        if hasattr(answer, "block_number"):
            return answer._replace(block_number=answer.block_number + 1)
        return answer._replace(block=answer.block._replace(number=answer.block.number + 1))

    change(pair, at, renumber)
    with pytest.raises(DecodeError, match="block"):
        pair.run(call.start(pair, kit))
    pair.spoil = bytes
    pair.run(pair.client.set(kit.attribute(9), axdr.unsigned(1)))
    assert pair.run(pair.client.get(kit.attribute(9))).value == 1


@call
@pytest.mark.parametrize("at", [1, 2, 4])
def test_an_exception_between_blocks_is_raised(pair: Any, kit: Any, call: Call, at: int) -> None:
    call.prepare(pair, kit)
    change(pair, at, lambda answer: apdu.ExceptionResponse(1, 1))
    with pytest.raises(ServiceError, match="operation-not-possible") as refused:
        pair.run(call.start(pair, kit))
    assert refused.value.kind == "exception-response"
    change(pair, at, lambda answer: apdu.ExceptionResponse(1, 6, 77))
    with pytest.raises(InvocationCounterError) as counted:
        pair.run(call.start(pair, kit))
    assert counted.value.expected == 77
    change(pair, at, lambda answer: apdu.ConfirmedServiceError(5, 1, 1))
    with pytest.raises(ServiceError, match="memory-unavailable"):
        pair.run(call.start(pair, kit))


@call
def test_an_answer_of_another_service_is_refused(pair: Any, kit: Any, call: Call) -> None:
    call.prepare(pair, kit)
    other = apdu.GetResponseWithList if call.name.startswith(("set", "act")) else None

    def swap(answer: Any) -> Any:
        invoke = answer.invoke_id_and_priority
        return other(invoke, ()) if other else apdu.SetResponseWithList(invoke, ())

    change(pair, 2, swap)
    with pytest.raises(DecodeError, match="does not fit"):
        pair.run(call.start(pair, kit))


@call
@pytest.mark.parametrize("at", [1, 3])
def test_late_answers_are_passed_over(pair: Any, kit: Any, call: Call, at: int) -> None:
    call.prepare(pair, kit)

    def precede(answer: Any) -> Any:
        late = answer._replace(invoke_id_and_priority=answer.invoke_id_and_priority ^ 1)
        return [late, answer]

    change(pair, at, precede)
    pair.run(call.start(pair, kit))


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_data_access_error_instead_of_a_block(pair: Any, kit: Any, at: int) -> None:
    fill(pair, kit)

    def refuse(answer: Any) -> Any:
        block = DataBlock(True, answer.block.number, b"")
        return apdu.GetResponseWithBlock(answer.invoke_id_and_priority, block, 15)

    change(pair, at, refuse)
    with pytest.raises(ServiceError, match="long-get-aborted"):
        pair.run(pair.client.get(kit.attribute(1)))
    change(pair, at, refuse)
    values = pair.run(pair.client.get_many(three(kit.attribute)))
    assert [value.code for value in values] == [15] * 3


def test_a_refusal_in_the_middle_of_writing(pair: Any, kit: Any) -> None:
    change(pair, 2, lambda each: apdu.SetResponseLastBlock(each.invoke_id_and_priority, 17, 2))
    with pytest.raises(ServiceError, match="long-set-aborted"):
        pair.run(pair.client.set(kit.attribute(1), kit.octets(400)))
    change(pair, 2, lambda each: apdu.SetResponseLastBlock(each.invoke_id_and_priority, 17, 2))
    results = pair.run(
        pair.client.set_many(three(kit.attribute), three(lambda at: kit.octets(150, at)))
    )
    assert [each.code for each in results] == [17] * 3
    change(pair, 2, lambda each: apdu.ActionResponseNormal(each.invoke_id_and_priority, 15))
    with pytest.raises(ServiceError, match="long-action-aborted"):
        pair.run(pair.client.action(kit.method(1), kit.octets(400)))
    change(pair, 2, lambda each: apdu.ActionResponseNormal(each.invoke_id_and_priority, 15))
    results = pair.run(
        pair.client.action_many(three(kit.method), three(lambda at: kit.octets(150, at)))
    )
    assert [each.code for each in results] == [15] * 3


@pytest.mark.parametrize("call", [each for each in CALLS if "get" not in each.name])
@pytest.mark.parametrize(
    "early",
    [
        lambda invoke: apdu.SetResponseNormal(invoke, 0),
        lambda invoke: apdu.SetResponseLastBlock(invoke, 0, 2),
        lambda invoke: apdu.SetResponseLastBlockWithList(invoke, (0, 0, 0), 2),
        lambda invoke: apdu.ActionResponseNormal(invoke, 0),
        lambda invoke: apdu.ActionResponseWithList(invoke, (apdu.ActionOutcome(0),) * 3),
    ],
)
def test_success_before_the_last_block_is_not_believed(
    pair: Any, kit: Any, call: Call, early: Callable[[int], Any]
) -> None:
    change(pair, 2, lambda each: early(each.invoke_id_and_priority))
    with pytest.raises(DecodeError, match="does not fit"):
        pair.run(call.start(pair, kit))


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        (
            lambda pair, kit: pair.client.get_many(three(kit.attribute)),
            lambda each: each._replace(results=each.results[:2]),
        ),
        (
            lambda pair, kit: pair.client.set_many(three(kit.attribute), [axdr.unsigned(1)] * 3),
            lambda each: each._replace(results=(*each.results, 0)),
        ),
        (
            lambda pair, kit: pair.client.set_many(three(kit.attribute), [axdr.unsigned(1)] * 3),
            lambda each: apdu.SetResponseNormal(each.invoke_id_and_priority, 0),
        ),
        (
            lambda pair, kit: pair.client.action_many(three(kit.method), [None] * 3),
            lambda each: each._replace(outcomes=()),
        ),
    ],
)
def test_as_many_answers_as_questions(pair: Any, kit: Any, start: Any, answer: Any) -> None:
    change(pair, 1, answer)
    with pytest.raises(DecodeError):
        pair.run(start(pair, kit))


@pytest.mark.parametrize(
    "answer",
    [
        lambda each: each._replace(data=each.data[:1]),
        lambda each: each._replace(results=each.results[:1]),
        lambda each: each._replace(
            results=(AccessResult(AccessKind.SET, 0), AccessResult(AccessKind.GET, 0))
        ),
        lambda each: each._replace(specifications=()),
        lambda each: apdu.GetResponseNormal(0xC1, b"\x00"),
    ],
)
def test_an_access_response_must_fit(pair: Any, kit: Any, answer: Any) -> None:
    wanted = [AccessGet(kit.attribute(1)), AccessSet(kit.attribute(2), axdr.unsigned(1))]
    change(pair, 1, answer)
    with pytest.raises(DecodeError):
        pair.run(pair.client.access(wanted))


def test_late_access_responses_are_passed_over(pair: Any, kit: Any) -> None:
    def precede(answer: Any) -> Any:
        number = answer.long_invoke_id_and_priority
        return [answer._replace(long_invoke_id_and_priority=number ^ 1), answer]

    change(pair, 1, precede)
    done = pair.run(pair.client.access([AccessAction(kit.method(1), axdr.unsigned(4))]))
    assert done == [axdr.unsigned(4)]


# The meter's side


def ask(pair: Any, *requests: Any) -> list[Any]:
    """Return what the meter answers each request; None for silence."""
    answers = []
    for request in requests:
        octets = pair.connection.receive(wrap(16, 1, request.to_octets()))
        answers.append(apdu.parse(octets[8:]) if octets else None)
    return answers


def test_blocks_that_nobody_began_are_refused(pair: Any) -> None:
    answers = ask(
        pair,
        apdu.GetRequestNext(0xC1, 1),
        apdu.SetRequestBlock(0xC1, DataBlock(False, 2, b"x")),
        apdu.ActionRequestNextBlock(0xC1, 1),
        apdu.ActionRequestBlock(0xC1, DataBlock(False, 2, b"x")),
    )
    assert [getattr(each, "error", None) or each.result for each in answers] == [16, 18, 16, 16]


def test_a_service_never_hands_out_the_blocks_of_another(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench, "wrapper", 16, SIZE, OWN_ONLY, meter_pdu=0xFFFF)
    secret = axdr.encode(kit.octets(200))
    first, *_ = ask(pair, apdu.ActionRequestNormal(0xC1, kit.method(1), secret))
    assert isinstance(first, apdu.ActionResponseBlock)
    assert ask(pair, apdu.GetRequestNext(0xC2, 1))[0].error == 16


def test_blocks_out_of_turn_write_nothing(pair: Any, kit: Any) -> None:
    names = ((kit.attribute(1), None), (kit.attribute(2), None))
    answers = ask(
        pair,
        apdu.SetRequestFirstBlock(0xC1, kit.attribute(1), DataBlock(False, 1, b"\x09")),
        apdu.SetRequestBlock(0xC1, DataBlock(True, 3, b"\x00")),
        apdu.SetRequestWithListFirstBlock(0xC1, names, DataBlock(False, 1, b"\x02\x11")),
        apdu.SetRequestBlock(0xC1, DataBlock(True, 1, b"\x05\x11\x06")),
        apdu.SetRequestWithListFirstBlock(0xC1, names, DataBlock(True, 1, b"\x02\x11")),
        apdu.SetRequestWithListFirstBlock(0xC1, names, DataBlock(True, 1, b"\x01\x11\x05")),
        apdu.SetRequestFirstBlock(0xC1, kit.attribute(1), DataBlock(True, 1, b"\x09")),
    )
    assert answers[1] == apdu.SetResponseLastBlock(0xC1, 19, 3)
    assert answers[3] == apdu.SetResponseLastBlockWithList(0xC1, (19, 19), 1)
    assert answers[4] == apdu.SetResponseLastBlockWithList(0xC1, (12, 12), 1)
    assert answers[5] == apdu.SetResponseLastBlockWithList(0xC1, (250, 250), 1)
    assert answers[6] == apdu.SetResponseLastBlock(0xC1, 12, 1)
    assert pair.objects.values == {}


def test_the_first_and_the_last_block_may_be_empty(pair: Any, kit: Any) -> None:
    answers = ask(
        pair,
        apdu.SetRequestFirstBlock(0xC1, kit.attribute(1), DataBlock(False, 1, b"")),
        apdu.SetRequestBlock(0xC1, DataBlock(False, 2, b"\x11\x05")),
        apdu.SetRequestBlock(0xC1, DataBlock(True, 3, b"")),
        apdu.SetRequestFirstBlock(0xC1, kit.attribute(1), DataBlock(False, 1, b"\x11\x06")),
        apdu.SetRequestBlock(0xC1, DataBlock(False, 2, b"")),
    )
    assert answers[2] == apdu.SetResponseLastBlock(0xC1, 0, 3)
    assert answers[4] == apdu.SetResponseLastBlock(0xC1, 19, 2)
    assert pair.objects.values == {kit.attribute(1): b"\x11\x05"}


def test_blocks_leave_where_the_head_takes_all_the_room() -> None:
    outgoing, whole, number = Outgoing(Service.GET, b"\x11\x05", -400), b"", 0
    while (block := outgoing.next_block(number)) is not None and number < 10:
        whole, number = whole + block.octets, block.number
        if block.last:
            break
    assert (whole, number) == (b"\x11\x05", 2)


def test_blocks_out_of_turn_invoke_nothing(pair: Any, kit: Any) -> None:
    methods = (kit.method(1), kit.method(2))
    answers = ask(
        pair,
        apdu.ActionRequestFirstBlock(0xC1, kit.method(1), DataBlock(False, 1, b"\x09")),
        apdu.ActionRequestBlock(0xC1, DataBlock(True, 3, b"\x00")),
        apdu.ActionRequestWithListFirstBlock(0xC1, methods, DataBlock(False, 1, b"\x02\x11")),
        apdu.ActionRequestBlock(0xC1, DataBlock(True, 9, b"\x05\x11\x06")),
        apdu.ActionRequestWithListFirstBlock(0xC1, methods, DataBlock(True, 1, b"\x02\x11")),
        apdu.ActionRequestWithListFirstBlock(0xC1, methods, DataBlock(True, 1, b"\x01\x11\x05")),
        apdu.ActionRequestWithList(0xC1, methods, (b"\x00",)),
    )
    aborted = apdu.ActionResponseNormal(0xC1, 15)
    other = apdu.ActionResponseWithList(0xC1, (apdu.ActionOutcome(250),) * 2)
    unmatched = apdu.ActionResponseNormal(0xC1, 12)
    assert [answers[at] for at in (1, 3, 4, 5, 6)] == [aborted, aborted, unmatched, other, other]
    assert pair.objects.called == []


def test_unconfirmed_requests_are_carried_out_in_silence(pair: Any, kit: Any) -> None:
    answers = ask(
        pair,
        apdu.SetRequestNormal(0x81, kit.attribute(1), b"\x11\x05"),
        apdu.ActionRequestNormal(0x81, kit.method(1)),
        apdu.AccessRequest(1, (apdu.AccessRequestSet(kit.attribute(2)),), (b"\x11\x06",)),
        apdu.DataNotificationConfirm(7),
    )
    assert answers == [None] * 4
    assert list(pair.objects.values.values()) == [b"\x11\x05", b"\x11\x06"]
    assert len(pair.objects.called) == 1


@pytest.mark.parametrize(
    ("missing", "request_"),
    [
        ("GET", lambda kit: apdu.GetRequestNormal(0xC1, kit.attribute(1))),
        ("SET", lambda kit: apdu.SetRequestNormal(0xC1, kit.attribute(1), b"\x00")),
        ("ACTION", lambda kit: apdu.ActionRequestNormal(0xC1, kit.method(1))),
        ("ACCESS", lambda kit: apdu.AccessRequest(1, (), ())),
        ("MULTIPLE_REFERENCES", lambda kit: apdu.GetRequestWithList(0xC1, ())),
        ("BLOCK_TRANSFER_WITH_GET", lambda kit: apdu.GetRequestNext(0xC1, 1)),
        (
            "BLOCK_TRANSFER_WITH_SET",
            lambda kit: apdu.SetRequestFirstBlock(0xC1, kit.attribute(1), DataBlock(True, 1, b"x")),
        ),
        (
            "BLOCK_TRANSFER_WITH_ACTION",
            lambda kit: apdu.ActionRequestNextBlock(0xC1, 1),
        ),
    ],
)
def test_what_was_not_granted_is_not_served(
    bench: Any, kit: Any, missing: str, request_: Any
) -> None:
    pair = kit.Pair(bench, "wrapper", 16, SIZE, OWN_ONLY & ~Conformance[missing])
    (answer,) = ask(pair, request_(kit))
    assert answer == apdu.ExceptionResponse(2, 2)
    pair = kit.Pair(bench, "wrapper", 16, SIZE, OWN_ONLY)
    assert not isinstance(ask(pair, request_(kit))[0], apdu.ExceptionResponse)


def test_a_selection_is_written_by_objects_that_can(bench: Any, kit: Any) -> None:
    selection = apdu.AccessSelection(1, axdr.unsigned(1))
    pair = kit.Pair(bench)
    pair.run(pair.client.set(kit.attribute(1), axdr.unsigned(5), selection))
    assert pair.objects.parts == [(kit.attribute(1), selection, b"\x11\x05")]
    meter = bench.Meter()
    before = dict(meter.values)
    connection = ServerConnection(LogicalServer(meter), WrapperServerLink(1))
    settings = bench.settings(2)
    client = Client(settings.over_wrapper(), settings)
    bench.run(client.connect(), connection.receive)
    with pytest.raises(ServiceError, match="scope-of-access-violated"):
        bench.run(client.set(bench.NAME, axdr.unsigned(5), selection), connection.receive)
    assert meter.values == before


def test_a_list_cannot_ask_for_more_than_memory_holds(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench)
    pair.objects.values[kit.attribute(1)] = long = axdr.encode(axdr.octet_string(bytes(1 << 20)))
    request = apdu.GetRequestWithList(0xC1, ((kit.attribute(1), None),) * 3000)
    ask(pair, request)
    reads = len(pair.objects.selections)
    assert reads * len(long) < 1 << 25
    wanted = (apdu.AccessRequestGet(kit.attribute(1)),) * 2000
    access = apdu.AccessRequest(0x40000001, wanted, (b"\x00",) * 2000)
    ask(pair, access)
    assert (len(pair.objects.selections) - reads) * len(long) < 1 << 25
