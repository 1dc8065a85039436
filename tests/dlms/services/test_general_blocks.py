"""General block transfer: the exchange itself, and associations whose blocks get lost or change."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import ALL_LOGICAL_NAME_SERVICES, Conformance, GeneralBlockTransfer
from hesper_dlms.errors import DecodeError, LinkError, LocalError, RemoteError
from hesper_dlms.gbt import BlockAssembly, BlockExchange, block_size, cut, push_blocks
from hesper_dlms.wrapper import wrap
from hypothesis import given, settings
from hypothesis import strategies as st

OWN_BLOCKS = (
    Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
)
GENERAL_ONLY = ALL_LOGICAL_NAME_SERVICES & ~OWN_BLOCKS


def block(octets: bytes) -> GeneralBlockTransfer:
    return GeneralBlockTransfer.from_octets(octets)


@pytest.mark.parametrize(
    ("octets", "fields"),
    [
        ("e0 83 0001 0000 03 c00181", (True, False, 3, 1, 0, "c00181")),
        ("e0 41 0002 0001 02 aabb", (False, True, 1, 2, 1, "aabb")),
        ("e0 82 0002 0003 00", (True, False, 2, 2, 3, "")),
        ("e0 3f ffff ffff 01 00", (False, False, 63, 0xFFFF, 0xFFFF, "00")),
    ],
)
def test_octets_of_a_block(octets: str, fields: tuple[Any, ...]) -> None:
    *control, data = fields
    expected = GeneralBlockTransfer(*control, bytes.fromhex(data))
    assert block(bytes.fromhex(octets)) == expected
    assert expected.to_octets() == bytes.fromhex(octets)


@given(size=st.integers(8, 3000))
def test_blocks_fill_an_apdu_and_are_never_longer(size: int) -> None:
    part = bytes(block_size(size))
    assert len(GeneralBlockTransfer(True, False, 1, 1, 0, part).to_octets()) <= size
    assert len(GeneralBlockTransfer(True, False, 1, 1, 0, part).to_octets()) >= size - 2


def test_what_has_too_many_blocks_is_our_error() -> None:
    with pytest.raises(LocalError):
        cut(bytes(0x10000), 8)
    with pytest.raises(LocalError):
        cut(b"x", 7)
    with pytest.raises(LocalError):
        BlockExchange(64, 0)


def test_a_push_in_blocks_is_assembled_again() -> None:
    apdu = bytes(range(250))
    blocks = [block(each) for each in push_blocks(apdu, 64)]
    assert [each.number for each in blocks] == list(range(1, len(blocks) + 1))
    assert {each.window for each in blocks} == {0}
    assembly = BlockAssembly()
    got = [assembly.add(each.number, each.last, each.octets) for each in blocks]
    assert got == [None] * (len(blocks) - 1) + [apdu]


def converse(
    client: BlockExchange,
    server: BlockExchange,
    lose: Callable[[bytes], bool] = lambda octets: False,
    respond: Callable[[bytes], bytes] = lambda request: request[::-1],
) -> bytes:
    """Let two sides take turns until the client has its response; silence makes it insist."""
    for _ in range(5000):
        answers: list[bytes] = []
        for octets in client.turn():
            if lose(octets):
                continue
            got = block(octets)
            request = server.take(got)
            if request is not None:
                server.send(respond(request))
            if (not got.streaming or got.last) and not server.finished:
                answers += server.turn()
        for octets in answers:
            if lose(octets):
                continue
            response = client.take(block(octets))
            if response is not None:
                return response
    raise AssertionError("the exchange does not end")


@pytest.mark.parametrize("windows", [(1, 1), (1, 63), (5, 2), (63, 63)])
@pytest.mark.parametrize("size", [8, 64, 1000])
def test_both_ways_in_any_window(windows: tuple[int, int], size: int) -> None:
    request, response = bytes(range(256)) * 3, bytes(range(255)) * 4
    client, server = (BlockExchange(size, window) for window in windows)
    client.send(request)
    assert converse(client, server, respond=lambda got: response if got == request else b"?") == (
        response
    )


@settings(deadline=None, max_examples=60)
@given(
    request=st.binary(min_size=1, max_size=600),
    response=st.binary(min_size=1, max_size=600),
    size=st.integers(10, 120),
    windows=st.tuples(st.integers(1, 63), st.integers(1, 63)),
    seed=st.integers(0, 1 << 30),
)
def test_lost_blocks_are_sent_again(
    request: bytes, response: bytes, size: int, windows: tuple[int, int], seed: int
) -> None:
    """What is lost costs turns; what arrives is right, or the exchange ends with an error."""
    chance = random.Random(seed)
    client, server = (BlockExchange(size, window) for window in windows)
    client.send(request)
    try:
        got = converse(client, server, lambda _: chance.random() < 0.2, lambda _: response)
    except DecodeError:
        return
    assert got == response


@settings(deadline=None, max_examples=200)
@given(
    blocks=st.lists(
        st.builds(
            GeneralBlockTransfer,
            st.booleans(),
            st.booleans(),
            st.integers(0, 63),
            st.integers(0, 6),
            st.integers(0, 3),
            st.binary(max_size=3),
        ),
        max_size=30,
    )
)
def test_whatever_comes_is_in_order_or_refused(blocks: list[GeneralBlockTransfer]) -> None:
    exchange = BlockExchange(64, 4)
    exchange.send(bytes(100))
    exchange.turn()
    in_turn: list[bytes] = []
    try:
        for each in blocks:
            whole = exchange.take(each)
            if each.number == len(in_turn) + 1:
                in_turn.append(each.octets)
            if whole is not None:
                assert whole == b"".join(in_turn)
                return
    except DecodeError:
        return


def test_a_repeated_number_with_other_octets_ends_it() -> None:
    exchange = BlockExchange(64, 4)
    exchange.take(GeneralBlockTransfer(False, True, 1, 1, 0, b"ab"))
    exchange.take(GeneralBlockTransfer(False, True, 1, 1, 0, b"ab"))
    with pytest.raises(DecodeError, match="twice"):
        exchange.take(GeneralBlockTransfer(False, True, 1, 1, 0, b"ac"))


def test_an_acknowledgement_of_the_unsent_ends_it() -> None:
    exchange = BlockExchange(64, 4)
    exchange.take(GeneralBlockTransfer(False, False, 1, 1, 0, b"ab"))
    with pytest.raises(DecodeError, match="never sent"):
        exchange.take(GeneralBlockTransfer(False, False, 1, 2, 9, b"ab"))


def test_turns_without_progress_end_it() -> None:
    exchange = BlockExchange(64, 4)
    ahead = GeneralBlockTransfer(False, False, 1, 7, 0, b"ab")
    for _ in range(8):
        assert exchange.take(ahead) is None
    with pytest.raises(DecodeError, match="progress"):
        exchange.take(ahead)


# In associations


@pytest.mark.parametrize("window", [1, 3, 63])
def test_streams_within_the_window(bench: Any, kit: Any, link: str, who: int, window: int) -> None:
    pair = kit.Pair(bench, link, who, 100, GENERAL_ONLY, block_window=window, meter_window=window)
    value = kit.octets(3000)
    pair.run(pair.client.set(kit.attribute(1), value))
    pair.seen.clear()
    assert pair.run(pair.client.get(kit.attribute(1))) == value
    if link == "wrapper":
        turns = len(pair.seen)
        blocks = 3000 // block_size(100)
        assert turns <= blocks // window + 4


def test_ciphering_lies_inside_the_blocks(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench, "wrapper", 1, 100, GENERAL_ONLY)
    pair.run(pair.client.set(kit.attribute(1), kit.octets(300)))
    assert {each[8] for each, _ in pair.seen} == {0xE0}
    assert block(pair.requests[0]).octets[0] == 0xC9


def pdus(stream: bytes) -> list[bytes]:
    """Return the wrapped APDUs of a stream, headers and all."""
    found = []
    while stream:
        end = 8 + int.from_bytes(stream[6:8], "big")
        found.append(stream[:end])
        stream = stream[end:]
    return found


@pytest.mark.parametrize("which", range(6))
def test_a_block_lost_in_a_stream_is_recovered(bench: Any, kit: Any, who: int, which: int) -> None:
    pair = kit.Pair(bench, "wrapper", who, 100, GENERAL_ONLY, block_window=4)
    value = kit.octets(1500)
    pair.objects.values[kit.attribute(1)] = axdr.encode(value)
    count = 0

    def lose(stream: bytes) -> bytes:
        nonlocal count
        kept = []
        for each in pdus(stream):
            count += 1
            if count != which + 2:
                kept.append(each)
        return b"".join(kept)

    pair.spoil = lose
    assert pair.run(pair.client.get(kit.attribute(1))) == value


@pytest.mark.parametrize("spoil", ["twice", "swap", "alter", "renumber", "foreign"])
@pytest.mark.parametrize("who", [16, 1], ids=["plain", "ciphered"])
def test_spoilt_blocks_never_yield_wrong_data(bench: Any, kit: Any, who: int, spoil: str) -> None:
    pair = kit.Pair(bench, "wrapper", who, 100, GENERAL_ONLY, block_window=4)
    value = kit.octets(1500)
    pair.objects.values[kit.attribute(1)] = axdr.encode(value)
    at = 0

    def change(stream: bytes) -> bytes:
        nonlocal at
        found = pdus(stream)
        at += 1
        if at != 3 or len(found) < 3:
            return stream
        if spoil == "twice":
            found.insert(1, found[0])
        elif spoil == "swap":
            found[0], found[1] = found[1], found[0]
        elif spoil == "alter":
            altered = bytearray(found[1])
            altered[-1] ^= 1
            found.insert(1, bytes(altered))
        elif spoil == "renumber":
            wrong = bytearray(found[1])
            wrong[11] ^= 0x40
            found[1] = bytes(wrong)
        else:
            found.insert(1, wrap(1, who, b"\xe0\x41\x00\x09\x00\x63\x01\x00"))
        return b"".join(found)

    pair.spoil = change
    try:
        got = pair.run(pair.client.get(kit.attribute(1)))
    except RemoteError:
        assert spoil in ("alter", "foreign")
    else:
        assert got == value


def test_a_request_that_may_have_been_carried_out_is_not_sent_again(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench, "wrapper", 16, 100, GENERAL_ONLY)
    answered = 0

    def silence_at_the_end(stream: bytes) -> bytes:
        nonlocal answered
        answered += 1
        return b"" if pair.objects.called else stream

    pair.spoil = silence_at_the_end
    with pytest.raises(LinkError):
        pair.run(pair.client.action(kit.method(1), kit.octets(400)))
    assert len(pair.objects.called) == 1


def test_a_push_between_blocks_is_set_apart(bench: Any, kit: Any) -> None:
    from hesper_dlms.apdu import DataNotification

    pair = kit.Pair(bench, "wrapper", 16, 100, GENERAL_ONLY, block_window=4)
    value = kit.octets(1500)
    pair.objects.values[kit.attribute(1)] = axdr.encode(value)
    note = DataNotification(7, None, axdr.encode(kit.octets(300))).to_octets()
    pushed = [wrap(1, 16, each) for each in push_blocks(note, 100)]
    at = 0

    def interleave(stream: bytes) -> bytes:
        nonlocal at
        at += 1
        found = pdus(stream)
        return b"".join([found[0], *pushed, *found[1:]] if at == 2 else found)

    pair.spoil = interleave
    assert pair.run(pair.client.get(kit.attribute(1))) == value
    assert [each.apdu for each in pair.client.take_notifications()] == [note]


def test_a_late_block_of_an_older_exchange_is_passed_over(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench, "wrapper", 16, 100, GENERAL_ONLY, block_window=4)
    first, second = kit.octets(1500), kit.octets(700, 5)
    pair.objects.values[kit.attribute(1)] = axdr.encode(first)
    pair.objects.values[kit.attribute(2)] = axdr.encode(second)
    pair.run(pair.client.get(kit.attribute(1)))
    late = [pair.seen[-1][1]]
    pair.spoil = lambda stream: late.pop() + stream if late else stream
    assert pair.run(pair.client.get(kit.attribute(2))) == second


def test_the_meter_refuses_blocks_that_do_not_belong(bench: Any, kit: Any) -> None:
    pair = kit.Pair(bench, "wrapper", 16, 100, GENERAL_ONLY)
    stray = GeneralBlockTransfer(False, False, 1, 5, 9, b"x").to_octets()
    answer = pair.connection.receive(wrap(16, 1, stray))[8:]
    assert answer[0] == 0xD8
    begun = GeneralBlockTransfer(False, True, 1, 1, 0, b"x").to_octets()
    other = GeneralBlockTransfer(False, True, 1, 2, 0, b"y").to_octets()
    changed = GeneralBlockTransfer(False, True, 1, 2, 0, b"z").to_octets()
    assert pair.connection.receive(wrap(16, 1, begun) + wrap(16, 1, other)) == b""
    assert pair.connection.receive(wrap(16, 1, changed))[8] == 0xD8
    pair.objects.values[kit.attribute(1)] = axdr.encode(axdr.unsigned(1))
    assert pair.run(pair.client.get(kit.attribute(1))).value == 1


def test_blocks_are_refused_where_they_were_not_agreed(bench: Any, kit: Any) -> None:
    granted = ALL_LOGICAL_NAME_SERVICES & ~Conformance.GENERAL_BLOCK_TRANSFER
    pair = kit.Pair(bench, "wrapper", 16, 100, granted)
    whole = GeneralBlockTransfer(True, False, 1, 1, 0, b"\xc0\x01\xc1").to_octets()
    assert pair.connection.receive(wrap(16, 1, whole))[8] == 0xD8
    pair.spoil = lambda stream: wrap(1, 16, whole)
    with pytest.raises(DecodeError):
        pair.run(pair.client.get(kit.attribute(1)))
