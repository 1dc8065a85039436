"""Captured pushes as data: loading them, and sending them once more.

A ciphered push is sealed anew with the next invocation counter each time, because a receiver must
refuse one that it has seen; the counter is the time in seconds, so it also grows across restarts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import msgspec
from hesper_dlms import obis
from hesper_dlms.security import (
    AUTHENTICATED_ENCRYPTION,
    ENCRYPTED,
    SecurityContext,
    SecuritySettings,
)

from hesper_sim.journal import Record
from hesper_sim.reframing import apdu_of, with_apdu

COUNTER_EPOCH: Final = 1_577_836_800
"""2020-01-01 in epoch seconds: invocation counter 0 of every replayed push."""
_PUSHED = obis.text(obis.PUSHED_VALUES)


class Expected(msgspec.Struct, frozen=True):
    """What must be in the store: integers by logical name; times in epoch seconds, UTC."""

    captured_at: int | None
    clock_status: int | None
    values: dict[str, int]


class Capture(msgspec.Struct, frozen=True, dict=True):
    """One file of `captures/`; the fields are explained in README.md there."""

    name: str
    description: str
    link: str
    meter: str
    identity: dict[str, Any]
    layout: str
    positional: list[str] | None
    meter_zone: str
    push_line: str
    encryption_key: str | None
    authentication_key: str | None
    dropped: str | None
    expected: list[Expected]
    hex: str

    def __repr__(self) -> str:
        return f"Capture({self.name!r})"

    def octets(self, now: int) -> bytes:
        """Return the octets to send at a time in epoch seconds."""
        captured = bytes.fromhex(self.hex)
        if self._context is None:
            return captured
        counter = now - COUNTER_EPOCH
        return with_apdu(self.link, captured, self._context.protect(self._plain, counter))

    def records(self, now: int) -> Iterator[Record]:
        """Yield the journal records of sending it at a time in epoch seconds."""
        for expected in self.expected:
            yield {
                "k": "push",
                "meter": self.meter,
                "profile": _PUSHED,
                "captured_at": expected.captured_at,
                "status": expected.clock_status,
                "values": expected.values,
                "sent_at": now,
            }

    @cached_property
    def _context(self) -> SecurityContext | None:
        settings = self._settings
        if settings is None:
            return None
        return SecurityContext(settings, bytes.fromhex(self.identity["system_title"]))

    @cached_property
    def _plain(self) -> bytes:
        settings = self._settings
        if settings is None:
            return b""
        opening = SecurityContext(settings, bytes(8))
        return opening.unprotect(apdu_of(self.link, bytes.fromhex(self.hex)))

    @property
    def _settings(self) -> SecuritySettings | None:
        if self.encryption_key is None:
            return None
        known = self.authentication_key is not None
        return SecuritySettings(
            0,
            bytes.fromhex(self.encryption_key),
            bytes.fromhex(self.authentication_key) if self.authentication_key else None,
            authentication_key_unknown=not known,
            policy=AUTHENTICATED_ENCRYPTION if known else ENCRYPTED,
        )


def load_all() -> tuple[Capture, ...]:
    """Return every capture that comes with the package, by name."""
    from importlib import resources  # 1 MB, which fleets without pushes need not spend

    folder = resources.files("hesper_sim.captures")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return tuple(
        msgspec.json.decode(file.read_bytes(), type=Capture)
        for file in files
        if file.name.endswith(".json")
    )
