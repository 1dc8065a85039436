"""HDLC with windows, busy sides, lost frames and rejected controls, frame by frame."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms.errors import LinkError
from hesper_dlms.hdlc import HdlcLink
from hesper_dlms.hdlc.frames import Frame, FrameReader, Kind, information_control, ready_control
from hesper_dlms.hdlc.parameters import LinkParameters, agree, parse_parameters
from hesper_dlms.hdlc.send_window import SendWindow
from hesper_dlms.hdlc.station import Station
from hypothesis import given
from hypothesis import strategies as st

CLIENT, METER = b"\x21", b"\x02\x23"
RNR = 0x15
LONG = bytes(range(256)) * 8


class Backwards:
    """Answers every APDU with itself, backwards."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def answers(self, client_address: int, apdu: bytes) -> list[bytes]:
        self.asked.append(apdu)
        return [apdu[::-1]]

    def closed(self, client_address: int) -> None:
        return None


class Line:
    """Carries frames between a link and a station; `lose` names frames of the meter by number."""

    def __init__(self, station: Station, lose: set[int] | None = None, chunk: int = 1 << 20):
        self.station, self.lose, self.chunk = station, lose or set(), chunk
        self.from_client: list[Frame] = []
        self.from_meter: list[Frame] = []
        self._client, self._meter = FrameReader(), FrameReader()

    def run(self, exchange: Any) -> Any:
        waiting = b""
        try:
            out = next(exchange)
            while True:
                for frame in self._client.receive(out):
                    self.from_client.append(frame)
                    waiting += self._answer(frame)
                arrived, waiting = waiting[: self.chunk], waiting[self.chunk :]
                out = exchange.send(arrived)
        except StopIteration as end:
            return end.value

    def _answer(self, frame: Frame) -> bytes:
        kept = b""
        for answer in self._meter.receive(self.station.frame(frame)):
            if len(self.from_meter) not in self.lose:
                kept += answer.to_octets()
            self.from_meter.append(answer)
        return kept


def frame(control: int, information: bytes = b"", segmented: bool = False) -> Frame:
    return Frame(METER, CLIENT, control, information, segmented)


def taken(octets: bytes) -> list[Frame]:
    return FrameReader().receive(octets)


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_an_answer_in_windows(window: int, chunk: int) -> None:
    line = Line(Station(Backwards(), 17, 1, 128, window=7), chunk=chunk)
    link = HdlcLink(16, 1, 17, window=window)
    line.run(link.connect())
    assert link.parameters.window_receive == window
    assert line.run(link.request(LONG)) == LONG[::-1]
    answer = [each for each in line.from_meter if each.kind is Kind.I]
    turns = "".join("F" if each.final else "." for each in answer)
    full, rest = divmod(len(answer), window)
    assert turns == ("." * (window - 1) + "F") * full + ("." * (rest - 1) + "F" if rest else "")


@given(st.sets(st.integers(2, 60), max_size=12), st.integers(1, 7))
def test_lost_frames_are_sent_again_and_nothing_is_done_twice(lost: set[int], window: int) -> None:
    handler = Backwards()
    line = Line(Station(handler, 17, 1, 128, window=7), lost)
    link = HdlcLink(16, 1, 17, window=window, retries=15)
    line.run(link.connect())
    for _ in range(3):
        assert line.run(link.request(LONG)) == LONG[::-1]
    assert handler.asked == [LONG] * 3


def test_a_client_that_sends_several_frames_before_it_polls() -> None:
    handler = Backwards()
    station = Station(handler, 17, 1, 128, window=4)
    snrm = frame(0x93, LinkParameters(128, 128, 3, 1).to_octets())
    (ua,) = taken(station.frame(snrm))
    assert parse_parameters(ua.information) == LinkParameters(128, 128, 1, 3)
    first = information_control(0, 0, final=False)
    assert station.frame(frame(first, b"\xe6\xe6\x00ab", segmented=True)) == b""
    second = information_control(1, 0, final=False)
    assert station.frame(frame(second, b"cd", segmented=True)) == b""
    (answer,) = taken(station.frame(frame(information_control(2, 0), b"ef")))
    assert (answer.information, answer.receive_sequence) == (b"\xe6\xe7\x00fedcba", 3)
    assert handler.asked == [b"abcdef"]


def test_a_turn_that_comes_twice_is_answered_once_behind_its_last_frame() -> None:
    handler = Backwards()
    station = Station(handler, 17, 1, 128, window=4)
    station.frame(frame(0x93, LinkParameters(128, 128, 3, 1).to_octets()))
    turn = [
        frame(information_control(0, 0, final=False), b"\xe6\xe6\x00ab", segmented=True),
        frame(information_control(1, 0), b"cd"),
    ]
    answers = [station.frame(each) for each in turn * 2]
    assert answers == [b"", answers[1], b"", answers[1]]
    assert taken(answers[1])[0].information == b"\xe6\xe7\x00dcba"
    assert handler.asked == [b"abcd"]


def test_a_frame_ahead_of_its_turn_is_not_taken() -> None:
    handler = Backwards()
    station = Station(handler, 17, 1, 128, window=4)
    station.frame(frame(0x93, LinkParameters(128, 128, 3, 1).to_octets()))
    assert station.frame(frame(information_control(1, 0, final=False), b"cd")) == b""
    (missed,) = taken(station.frame(frame(information_control(2, 0), b"ef")))
    assert (missed.kind, missed.receive_sequence) == (Kind.RR, 0)
    assert handler.asked == []


def test_a_client_that_is_not_ready_gets_no_frames_until_it_is() -> None:
    station = Station(Backwards(), 17, 1, 128, window=2)
    station.frame(frame(0x93, LinkParameters(128, 128, 1, 2).to_octets()))
    burst = taken(station.frame(frame(information_control(0, 0), b"\xe6\xe6\x00" + b"x" * 120)))
    assert [each.kind for each in burst] == [Kind.I]
    (busy,) = taken(station.frame(frame(1 << 5 | RNR)))
    assert (busy.kind, busy.receive_sequence) == (Kind.RR, 1)
    assert taken(station.frame(frame(ready_control(1))))[0].kind is Kind.RR


def test_an_unknown_control_octet_is_rejected_and_ends_the_connection() -> None:
    station = Station(Backwards(), 17, 1)
    station.frame(frame(0x93))
    (rejected,) = taken(station.frame(frame(0xEF)))
    assert (rejected.kind, rejected.information) == (Kind.FRMR, b"\xef\x10\x01")
    (gone,) = taken(station.frame(frame(ready_control(0))))
    assert gone.kind is Kind.DM


def _link() -> HdlcLink:
    link = HdlcLink(16, 1, 17, retries=1)
    Line(Station(Backwards(), 17, 1)).run(link.connect())
    return link


def _from_meter(control: int, information: bytes = b"") -> bytes:
    return Frame(CLIENT, METER, control, information).to_octets()


def test_a_busy_meter_is_polled_until_it_is_ready() -> None:
    exchange = _link().request(b"ab")
    next(exchange)
    for _ in range(5):
        assert exchange.send(_from_meter(1 << 5 | RNR)) == b""
        (poll,) = taken(exchange.send(b""))
        assert poll.kind is Kind.RR
    with pytest.raises(StopIteration) as end:
        exchange.send(_from_meter(information_control(0, 1), b"\xe6\xe7\x00done"))
    assert end.value.value == b"done"


def test_a_request_that_the_meter_missed_is_sent_again_at_once() -> None:
    exchange = _link().request(b"ab")
    request = next(exchange)
    assert exchange.send(_from_meter(ready_control(0))) == request
    assert exchange.send(_from_meter(ready_control(0))) == b""  # enough: silence decides


def test_a_segment_that_the_meter_missed_is_sent_again_at_once() -> None:
    exchange = _link().request(bytes(300))
    first = next(exchange)
    assert exchange.send(_from_meter(ready_control(0))) == first
    (second,) = taken(exchange.send(_from_meter(ready_control(1))))
    assert second.send_sequence == 1


@pytest.mark.parametrize("kind", [Kind.DM, Kind.FRMR])
def test_dm_and_frmr_end_the_link(kind: Kind) -> None:
    link = _link()
    exchange = link.request(b"ab")
    next(exchange)
    with pytest.raises(LinkError, match=kind.name):
        exchange.send(_from_meter(kind | 0x10))
    assert not link.connected


def test_an_echo_is_no_answer_even_where_both_addresses_are_the_same() -> None:
    link = HdlcLink(1, 1)
    Line(Station(Backwards(), None, 1)).run(link.connect())
    exchange = link.request(b"ab")
    request = next(exchange)
    assert exchange.send(request) == b""
    answer = Frame(b"\x03", b"\x03", information_control(0, 1), b"\xe6\xe7\x00ba").to_octets()
    with pytest.raises(StopIteration) as end:
        exchange.send(answer)
    assert end.value.value == b"ba"


def test_a_push_cut_short_does_not_spoil_the_next() -> None:
    link = _link()
    exchange = link.receive()
    next(exchange)
    lost = Frame(CLIENT, METER, 0x03, b"\xe6\xe7\x00\x0flost", segmented=True).to_octets()
    whole = [
        Frame(CLIENT, METER, 0x03, b"\xe6\xe7\x00\x0fwh", segmented=True).to_octets(),
        Frame(CLIENT, METER, 0x13, b"ole").to_octets(),
    ]
    exchange.send(lost + b"".join(whole))
    assert link.take_notifications() == [b"\x0fwhole"]


@pytest.mark.parametrize(
    ("parameters", "octets"),
    [
        # IEC 62056-46, 6.4.4.4.3.2: the example with one octet for each size
        (LinkParameters(), "81801205018006018007040000000108 0400000001"),
        (LinkParameters(512, 1024, 1, 7), "818014050202000602040007040000000108 0400000007"),
        (LinkParameters(128, 2030, 1, 1), "81801305018006 0207ee07040000000108 0400000001"),
    ],
)
def test_parameters_byte_by_byte(parameters: LinkParameters, octets: str) -> None:
    assert parameters.to_octets() == bytes.fromhex(octets)
    assert parse_parameters(bytes.fromhex(octets)) == parameters


def test_windows_are_agreed_like_sizes() -> None:
    ours = LinkParameters(128, 128, 1, 5)
    assert agree(ours, LinkParameters(128, 128, 3, 1))[2:] == (1, 3)
    assert agree(ours, LinkParameters(128, 128, 0, 200))[2:] == (1, 1)


def test_frames_of_more_than_255_octets() -> None:
    line = Line(Station(Backwards(), 17, 1, 2030))
    link = HdlcLink(16, 1, 17, max_info=2030)
    line.run(link.connect())
    whole = bytes(2020)
    assert line.run(link.request(whole)) == whole
    assert [len(each.information) for each in line.from_meter if each.kind is Kind.I] == [2023]


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 7))
def test_a_window_never_forgets_what_was_not_acknowledged(turns: list[bool], size: int) -> None:
    window = SendWindow(size)
    window.queue((bytes((number,)), True) for number in range(20))
    frames: list[tuple[int, bytes]] = []
    seen: list[bytes] = []

    def encode(control: int, information: bytes, segmented: bool) -> bytes:
        frames.append((control >> 1 & 7, information))
        return information

    for lost in turns:
        frames.clear()
        window.send(0, encode)
        for number, information in frames if not lost else []:
            if number == len(seen) & 7:
                seen.append(information)
        window.acknowledge(len(seen) & 7)
    assert seen == [bytes((number,)) for number in range(len(seen))]
    assert len(seen) == min(20, turns.count(False) * size)
