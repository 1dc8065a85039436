"""Decoding a load profile: a day of minutes, 1440 rows of a clock and seven registers.

Both sides get the same octets, a get-response in the TCP wrapper, and must come out with one
timestamp and seven integers per row. Ours gives columns and epoch seconds; the peer, gurux_dlms,
gives rows of objects and date-times. Ciphered means: the tag is verified and the payload decrypted
first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC
from importlib.util import find_spec

from hesper_dlms import apdu
from hesper_dlms.apdu import GetResponseNormal
from hesper_dlms.axdr import Tag
from hesper_dlms.profile import ProfileColumns, clock_octets, decode_buffer, encode_buffer
from hesper_dlms.security import SecurityContext, SecuritySettings

from hesper_lab.bench.rows import Row, per_second, row

ROWS = 1440
PERIOD_S = 900
TARGET_ROWS_PER_S = 1_200_000.0
PEER = "gurux_dlms 1.0.203"

_KEYS = SecuritySettings(0, bytes(range(16)), bytes(range(0xD0, 0xE0)))
_METER, _CLIENT = b"HSP\x00\x00\x00\x00\x01", b"HSC\x00\x00\x00\x00\x01"
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
    return decode_plain(SecurityContext(_KEYS, _CLIENT, _METER).unprotect(octets))


def run() -> list[Row]:
    """Measure both rows, about four seconds each with the peer."""
    plain = profile_answer()
    ciphered = SecurityContext(_KEYS, _METER).protect(plain, 1)
    first, last = decode_plain(plain), decode_ciphered(ciphered)
    if first != last or len(first.captured_at) != ROWS:
        raise AssertionError("the benchmark's own profile does not decode to itself")
    peer = _measure_peer(plain, ciphered, first)
    return [
        row(
            "dlms.profile.plain",
            per_second(lambda: decode_plain(plain), ROWS),
            "rows/s",
            TARGET_ROWS_PER_S,
            (PEER, peer["plain"]) if peer else None,
        ),
        row(
            "dlms.profile.ciphered",
            per_second(lambda: decode_ciphered(ciphered), ROWS),
            "rows/s",
            TARGET_ROWS_PER_S,
            (PEER, peer["ciphered"]) if peer else None,
        ),
    ]


def _measure_peer(plain: bytes, ciphered: bytes, ours: ProfileColumns) -> dict[str, float] | None:
    """Run the peer in a process of its own (it is GPL); None where it is not installed."""
    if find_spec("gurux_dlms") is None:
        return None
    task = {
        "plain": plain.hex(),
        "ciphered": ciphered.hex(),
        "encryption_key": _KEYS.encryption_key.hex(),
        "authentication_key": (_KEYS.authentication_key or b"").hex(),
        "client": _CLIENT.hex(),
        "meter": _METER.hex(),
        "columns": len(ours.columns),
        "last_row": [column[-1] for column in ours.columns],
    }
    done = subprocess.run(
        [sys.executable, "-m", "hesper_lab.bench.gurux_peer"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
