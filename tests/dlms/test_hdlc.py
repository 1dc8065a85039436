"""HDLC: frames, reader, client link, station, byte by byte and with what goes wrong on a line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest
from hesper_dlms.errors import DlmsError, LinkError
from hesper_dlms.exchange import Exchange
from hesper_dlms.hdlc.address import client_octets, parse_server, server_octets
from hesper_dlms.hdlc.fcs import frame_check_sequence
from hesper_dlms.hdlc.frames import Frame, FrameReader, Kind, unnumbered_control
from hesper_dlms.hdlc.link import HdlcLink
from hesper_dlms.hdlc.parameters import LinkParameters, parse_parameters
from hesper_dlms.hdlc.station import Station
from hypothesis import given
from hypothesis import strategies as st

SNRM = bytes.fromhex("7ea00a00020023219318717e")


class Echo:
    """Answers every APDU with what `reply` makes of it."""

    def __init__(self, reply: Callable[[bytes], bytes | None] = lambda apdu: apdu[::-1]) -> None:
        self.reply = reply
        self.asked: list[bytes] = []
        self.closed_clients: list[int] = []

    def answers(self, client_address: int, apdu: bytes) -> list[bytes]:
        self.asked.append(apdu)
        reply = self.reply(apdu)
        return [] if reply is None else [reply]

    def closed(self, client_address: int) -> None:
        self.closed_clients.append(client_address)


class Line:
    """A line between an exchange and a station; `spoil` may change what either side sends."""

    def __init__(self, station: Station, spoil: Callable[[bytes], bytes] = bytes) -> None:
        self.station = station
        self.reader = FrameReader()
        self.spoil = spoil
        self.chunk = 1 << 20
        self.sizes: list[int] = []

    def run(self, exchange: Exchange[object]) -> object:
        waiting = b""
        try:
            out = next(exchange)
            while True:
                for frame in self.reader.receive(out):
                    self.sizes.append(len(frame.information))
                    if self.station.accepts(frame):
                        waiting += self.spoil(self.station.frame(frame))
                arrived, waiting = waiting[: self.chunk], waiting[self.chunk :]
                out = exchange.send(arrived)
        except StopIteration as end:
            return end.value


def connected(
    handler: Echo, max_info: int = 128, station_max: int = 128, **settings: int
) -> tuple[HdlcLink, Line]:
    link = HdlcLink(16, 1, 17, max_info=max_info, **settings)
    line = Line(Station(handler, physical=17, max_info=station_max))
    line.run(link.connect())
    return link, line


def test_fcs_of_the_published_check_value() -> None:
    assert frame_check_sequence(b"123456789") == bytes.fromhex("6e90")


@pytest.mark.parametrize(
    ("logical", "physical", "size", "octets"),
    [
        (1, None, 1, "03"),
        (1, 17, 2, "0223"),
        (1, 17, 4, "00020023"),
        (1, 0x3FFF, 4, "0002feff"),
        (1, 200, None, "00020291"),
    ],
)
def test_server_addresses_both_ways(
    logical: int, physical: int | None, size: int | None, octets: str
) -> None:
    assert server_octets(logical, physical, size).hex() == octets
    address = parse_server(bytes.fromhex(octets))
    assert (address.logical, address.physical) == (logical, physical)


def test_frame_both_ways_against_a_published_snrm() -> None:
    frame = Frame(server_octets(1, 17, 4), client_octets(16), unnumbered_control(Kind.SNRM))
    assert frame.to_octets() == SNRM
    assert FrameReader().receive(SNRM) == [frame]


def test_flags_shared_and_repeated() -> None:
    frame = Frame(b"\x03", b"\x21", 0x10, b"\x7e" * 9)
    octets = b"\x7e\x7e" + frame.to_octets() + frame.to_octets()[1:] + b"\x7e" + frame.to_octets()
    found = FrameReader().receive(octets)
    assert [each.information for each in found] == [frame.information] * 3


@given(st.binary(min_size=1, max_size=300), st.booleans(), st.integers(1, 40))
def test_any_information_in_any_chunks(information: bytes, segmented: bool, chunk: int) -> None:
    frame = Frame(b"\x02\x23", b"\x21", 0x32, information, segmented)
    octets = frame.to_octets() + frame.to_octets()[1:]
    reader = FrameReader()
    found = [
        each
        for at in range(0, len(octets), chunk)
        for each in reader.receive(octets[at : at + chunk])
    ]
    assert [each.information for each in found] == [information, information]
    assert found[0].segmented is segmented


def test_every_fcs_that_ends_in_a_flag_is_found() -> None:
    ending = [
        frame
        for number in range(3000)
        if (frame := Frame(b"\x03", b"\x21", 0x10, number.to_bytes(2, "big"))).to_octets()[-2]
        == 0x7E
    ]
    assert ending
    for frame in ending:
        reader = FrameReader()
        found = [each for octet in frame.to_octets() for each in reader.receive(bytes((octet,)))]
        assert found == [frame]


def test_wrong_fcs_is_marked_and_wrong_hcs_is_skipped() -> None:
    good = Frame(b"\x03", b"\x21", 0x10, b"abc")
    octets = good.to_octets()
    wrong_fcs = octets[:-4] + bytes((octets[-4] ^ 1,)) + octets[-3:]
    reader = FrameReader()
    found = reader.receive(wrong_fcs + octets)
    assert [each.fcs_right for each in found] == [False, True]
    wrong_hcs = octets[:6] + bytes((octets[6] ^ 1,)) + octets[7:]
    assert FrameReader().receive(wrong_hcs + octets)[0].information == b"abc"
    reader.receive(wrong_hcs)
    assert len(reader.bad_headers) == 1


def test_a_frame_cut_short_gives_way_to_the_next_when_the_line_is_idle() -> None:
    octets = Frame(b"\x03", b"\x21", 0x10, b"x" * 200).to_octets()
    reader = FrameReader()
    assert reader.receive(octets[:60] + SNRM) == []
    assert [frame.to_octets() for frame in reader.idle()] == [SNRM]


@given(st.binary(max_size=400), st.integers(1, 50))
def test_noise_never_raises_and_never_hides_a_frame_for_ever(noise: bytes, chunk: int) -> None:
    reader = FrameReader()
    for at in range(0, len(noise), chunk):
        reader.receive(noise[at : at + chunk])
    reader.idle()
    assert [frame.to_octets() for frame in reader.receive(SNRM)][-1:] == [SNRM]


@pytest.mark.parametrize(
    "pattern", [b"\x7e", b"\x7e\xa7\xff", b"\x7e\xa0", b"\x00", b"\x7e\xa7\xff\x03\x21"]
)
def test_noise_byte_by_byte_takes_linear_time(pattern: bytes) -> None:
    def seconds(size: int) -> float:
        reader = FrameReader()
        noise = (pattern * size)[:size]
        begin = time.process_time()
        for octet in noise:
            reader.receive(bytes((octet,)))
        return time.process_time() - begin

    assert min(seconds(16000) for _ in range(2)) < 8 * max(
        0.01, min(seconds(4000) for _ in range(2))
    )


def test_parameters_both_ways_and_absent() -> None:
    said = LinkParameters(512, 1024, 1, 1)
    assert parse_parameters(said.to_octets()) == said
    assert parse_parameters(b"") == LinkParameters(128, 128, 1, 1)
    short = bytes.fromhex("818006050180060180")
    assert parse_parameters(short)[:2] == (128, 128)


@given(st.binary(max_size=40))
def test_parameters_of_noise(octets: bytes) -> None:
    with contextlib.suppress(DlmsError):
        parse_parameters(octets)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 120, 125, 126, 700, 5000])
def test_apdus_of_any_size_segment_both_ways(size: int, chunk: int) -> None:
    handler = Echo()
    link, line = connected(handler)
    line.chunk = chunk
    apdu = bytes(range(256)) * (size // 256 + 1)
    for _ in range(10):
        assert line.run(link.request(apdu[:size])) == apdu[:size][::-1]
    assert handler.asked == [apdu[:size]] * 10


def test_sizes_of_the_ua_are_obeyed() -> None:
    link, line = connected(Echo(), max_info=2000, station_max=64)
    assert link.parameters.max_transmit == 64
    assert line.run(link.request(b"a" * 300)) == b"a" * 300
    assert 48 < max(line.sizes) <= 64


def test_large_frames_are_used_where_both_agree() -> None:
    link, line = connected(Echo(), max_info=2000, station_max=2000)
    assert link.parameters.max_transmit == 2000
    assert line.run(link.request(b"b" * 1900)) == b"b" * 1900


def test_echo_foreign_stations_and_ui_frames_are_passed_over() -> None:
    handler = Echo()
    link, line = connected(handler)
    ui = Frame(client_octets(16), server_octets(1, 17), 0x13, b"\xe6\xe7\x00\x0fpush").to_octets()
    foreign = Frame(client_octets(16), server_octets(1, 18), 0x30, b"\xe6\xe7\x00no").to_octets()
    own = Frame(server_octets(1, 17), client_octets(16), 0x10, b"\xe6\xe6\x00ab").to_octets()
    line.spoil = lambda octets: own + foreign + ui + octets
    assert line.run(link.request(b"ab")) == b"ba"
    assert link.take_notifications() == [b"\x0fpush"]
    assert link.take_notifications() == []


def test_a_lost_or_spoiled_answer_is_asked_again_and_executed_once() -> None:
    handler = Echo()
    link, line = connected(handler)
    spoiled = iter([lambda octets: b"", lambda octets: octets[:-3] + b"\x00" + octets[-2:]])
    line.spoil = lambda octets: next(spoiled, bytes)(octets)
    assert line.run(link.request(b"once")) == b"ecno"
    assert handler.asked == [b"once"]
    assert line.run(link.request(b"more")) == b"erom"


def test_a_lost_segment_is_sent_again() -> None:
    handler = Echo()
    link, line = connected(handler)
    turns = iter(range(1000))
    line.spoil = lambda octets: b"" if next(turns) % 3 == 2 else octets
    apdu = bytes(range(256)) * 3
    assert line.run(link.request(apdu)) == apdu[::-1]
    assert handler.asked == [apdu]


def test_silence_ends_in_a_link_error() -> None:
    link, line = connected(Echo(), retries=1)
    line.spoil = lambda octets: b""
    with pytest.raises(LinkError, match="did not answer"):
        line.run(link.request(b"x"))
    line.run(link.disconnect())


def test_a_station_that_forgot_us_answers_dm() -> None:
    link, line = connected(Echo())
    line.station = Station(Echo(), physical=17)
    with pytest.raises(LinkError, match="DM"):
        line.run(link.request(b"x"))


def test_disconnect_tells_the_handler() -> None:
    handler = Echo()
    link, line = connected(handler)
    line.run(link.disconnect())
    assert handler.closed_clients == [16]
    assert not link.connected


def test_doubled_llc_is_stripped() -> None:
    link, line = connected(Echo(lambda apdu: b"\xe6\xe7\x00" + apdu))
    assert line.run(link.request(b"\xc4\x01")) == b"\xc4\x01"


def test_push_in_segments() -> None:
    station = Station(Echo(), physical=17, max_info=64)
    frames = FrameReader().receive(station.push(0x67, 1, b"\x0f" * 200))
    assert [frame.segmented for frame in frames] == [True] * (len(frames) - 1) + [False]
    assert b"".join(frame.information for frame in frames) == b"\xe6\xe7\x00" + b"\x0f" * 200


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20), st.booleans()), max_size=12))
def test_a_station_survives_any_frames(frames: list[tuple[int, bytes, bool]]) -> None:
    station = Station(Echo(), physical=17)
    for control, information, segmented in frames:
        frame = Frame(server_octets(1, 17), b"\x21", control, information, segmented)
        if station.accepts(frame):
            station.frame(frame)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20), st.booleans()), max_size=12))
def test_a_link_survives_any_frames(frames: list[tuple[int, bytes, bool]]) -> None:
    link, _ = connected(Echo())
    exchange = link.request(b"x")
    next(exchange)
    try:
        for control, information, segmented in frames:
            frame = Frame(b"\x21", server_octets(1, 17), control, information, segmented)
            exchange.send(frame.to_octets())
    except (DlmsError, StopIteration):
        return


@pytest.mark.parametrize(
    ("logical", "physical", "octets"), [(1, None, 1), (1, 17, 2), (1, 17, 4), (1, 1000, 4)]
)
def test_every_address_size(logical: int, physical: int | None, octets: int) -> None:
    handler = Echo()
    link = HdlcLink(16, logical, physical, address_octets=octets)
    line = Line(Station(handler, physical=physical, logical=logical))
    line.run(link.connect())
    assert line.run(link.request(b"ab" * 200)) == b"ba" * 200
    stranger = HdlcLink(16, logical + 1, physical, address_octets=octets, retries=0)
    with pytest.raises(LinkError):
        line.run(stranger.connect())


def test_a_window_of_several_frames_is_taken() -> None:
    link, _ = connected(Echo())
    exchange = link.request(b"x")
    next(exchange)
    meter = server_octets(1, 17)
    answer = b"".join(
        Frame(b"\x21", meter, 0x20 | number << 1 | (number == 2) << 4, part, number < 3).to_octets()
        for number, part in enumerate([b"\xe6\xe7\x00one", b"two", b"three"])
    )
    ready = FrameReader().receive(exchange.send(answer))[0]
    assert (ready.kind, ready.receive_sequence) == (Kind.RR, 3)
    with pytest.raises(StopIteration) as end:
        exchange.send(Frame(b"\x21", meter, 0x36, b"four").to_octets())
    assert end.value.value == b"onetwothreefour"


def test_a_meter_that_needs_time_says_rr_first() -> None:
    link, _ = connected(Echo())
    exchange = link.request(b"x")
    next(exchange)
    meter = server_octets(1, 17)
    assert exchange.send(Frame(b"\x21", meter, 0x31).to_octets()) == b""
    poll = FrameReader().receive(exchange.send(b""))[0]
    assert (poll.kind, poll.receive_sequence) == (Kind.RR, 0)
    with pytest.raises(StopIteration) as end:
        exchange.send(Frame(b"\x21", meter, 0x30, b"\xe6\xe7\x00slow").to_octets())
    assert end.value.value == b"slow"
