"""Decoding a load profile: a day of minutes, 1440 rows of a clock and seven registers.

Both sides get the same octets, a get-response in the TCP wrapper, and must come out with one
timestamp and seven integers per row. Ours gives columns and epoch seconds; the peers give rows of
objects and date-times. Ciphered means: the tag is verified and the payload decrypted
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from hesper_dlms import apdu
from hesper_dlms.apdu import GetResponseNormal
from hesper_dlms.axdr import Tag
from hesper_dlms.profile import ProfileColumns, clock_octets, decode_buffer, encode_buffer
from hesper_dlms.security import SecurityContext

from hesper_lab.bench import dlms_meter, peers
from hesper_lab.bench.dlms_meter import CLIENT_TITLE, KEYS, METER_TITLE
from hesper_lab.bench.rows import Row, per_second, row

SECONDS = 1.5
ROWS = 1440
PERIOD_S = 900
TARGET_ROWS_PER_S = 1_200_000.0
_START = 1_790_000_100


def profile_answer() -> bytes:
    """Return the plain get-response that holds the profile."""
    clocks = [clock_octets(_START + PERIOD_S * index, -60) for index in range(ROWS)]
    energies = [
        (Tag.DOUBLE_LONG_UNSIGNED, [12_642_984 + 37 * index * n for index in range(ROWS)])
        for n in range(1, 5)
    ]
    voltages = [
        (Tag.LONG_UNSIGNED, [2250 + index * n % 100 for index in range(ROWS)]) for n in (3, 7, 11)
    ]
    return GetResponseNormal(0xC1, encode_buffer(clocks, [*energies, *voltages])).to_octets()


def decode_plain(octets: bytes) -> ProfileColumns:
    """Decode a plain answer to columns."""
    answer = apdu.parse(octets)
    if not isinstance(answer, GetResponseNormal) or not isinstance(answer.result, bytes):
        raise TypeError("the benchmark's own answer holds no value")
    return decode_buffer(answer.result, PERIOD_S, 0, UTC)


def decode_ciphered(octets: bytes) -> ProfileColumns:
    """Verify and decrypt an answer and decode it to columns."""
    return decode_plain(SecurityContext(KEYS, CLIENT_TITLE, METER_TITLE).unprotect(octets))


def run(seconds: float = SECONDS) -> list[Row]:
    """Measure both rows, each for so many seconds with each peer."""
    plain = profile_answer()
    ciphered = SecurityContext(KEYS, METER_TITLE).protect(plain, 1)
    first, last = decode_plain(plain), decode_ciphered(ciphered)
    if first != last or len(first.captured_at) != ROWS:
        raise AssertionError("the benchmark's own profile does not decode to itself")
    rates = {
        "plain": per_second(lambda: decode_plain(plain), ROWS, seconds),
        "ciphered": per_second(lambda: decode_ciphered(ciphered), ROWS, seconds),
    }
    octets = {"plain": plain, "ciphered": ciphered}
    compared = {"plain": (peers.GURUX, peers.DLMS_COSEM), "ciphered": peers.ALL}
    return [
        each
        for kind, rate in rates.items()
        for each in _beside(kind, rate, peer_rates(kind, octets[kind], compared[kind], seconds))
    ]


def _beside(kind: str, rate: float, rates: dict[str, float]) -> list[Row]:
    """Return a row for each peer, or one without where there is none."""
    name = f"dlms.profile.{kind}"
    if not rates:
        return [row(name, rate, "rows/s", TARGET_ROWS_PER_S)]
    return [row(name, rate, "rows/s", TARGET_ROWS_PER_S, peer) for peer in rates.items()]


def peer_rates(
    kind: str, octets: bytes, compared: Sequence[peers.Peer], seconds: float
) -> dict[str, float]:
    """Return rows per second of the peers that are installed, by their names."""
    columns = decode_plain(profile_answer()).columns
    task = dlms_meter.task(kind, seconds) | {
        "octets": octets.hex(),
        "columns": len(columns),
        "last_row": [column[-1] for column in columns],
    }
    measured = {peer.name: peer.measure(task) for peer in compared}
    return {name: found.value for name, found in measured.items() if found is not None}
