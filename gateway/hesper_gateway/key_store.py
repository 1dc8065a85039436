"""Keys of meters that were changed since their keys files were written, and those being changed.

Theory of operation
-------------------
A change of keys has two phases, and each step is one file that takes another's place at once:

    keys ──begin──→ keys + pending ──take──→ pending ones are the keys, the old ones are gone
      ▲                   │
      └───────drop────────┘

`begin` comes before the meter is told anything. From then on either set may be the meter's, and
whoever opens an association tries the pending one first and then the other. What opens it is what
the meter has, once it has said its name: an association proves both sides' keys, and another meter
at the address may share the old ones. A message with the old key that was still under way cannot
change that later, because its invocation counter is older than the one that the meter has accepted
since.

Files lie in the gateway's state, since it may not write beside gateway.toml. They name the keys of
the keys file that they stand instead of; when a person puts other keys there, those count again.
A keys file that came with an enrolment may hold a change that the gateway before had left open.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hesper_contracts.new_keys import NewKeys

from hesper_gateway.errors import ConfigError, Hop, MeterFailed
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.secrets_files import put

log = logging.getLogger(__name__)

KEYS_FOLDER = "keys"
"""In the gateway's state."""
NAMES = ("encryption_key", "authentication_key", "master_key")

Settled = Callable[[str, str, bool], None]
"""Takes meter, command id, and whether the meter has the new keys."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Keys that the meter may have taken; ``keys`` are all that it has then."""

    command_id: str
    keys: MeterKeys


@dataclass(slots=True)
class HeldKeys:
    """The keys of one meter; they never show.

    Attributes:
        meter: Its id.
        current: What is known to open associations.
        pending: What may do so since a change began; None when nothing is open.
        changed_by: The command that brought the current ones; empty where they are a person's.
    """

    meter: str
    current: MeterKeys
    pending: Pending | None = None
    changed_by: str = ""
    _path: Path | None = field(default=None, repr=False)
    _given: MeterKeys = field(default_factory=MeterKeys, repr=False)
    _settled: Settled | None = field(default=None, repr=False)

    async def begin(self, command_id: str, new: NewKeys) -> None:
        """Make new keys durable beside the current ones; the meter must not know them yet.

        Raises:
            MeterFailed: they cannot be stored, or an earlier change is open; nothing may be sent.
        """
        if self.pending is not None:
            raise MeterFailed("an earlier change of its keys is not settled", Hop.GATEWAY)
        said = {name: getattr(new, name) for name in NAMES}
        given = {name: key for name, key in said.items() if key is not None}
        pending = Pending(command_id, replace(self.current, **given))
        try:
            await asyncio.to_thread(self._write, self.current, pending, self.changed_by)
        except OSError as error:
            raise MeterFailed(f"new keys cannot be stored: {error.strerror}", Hop.GATEWAY) from None
        self.pending = pending

    async def take(self) -> None:
        """The pending keys are proven: keep them alone."""
        if self.pending is not None:
            await self._settle(self.pending.keys, self.pending.command_id, True)

    async def drop(self) -> None:
        """The meter has the current keys and no others: keep them alone."""
        if self.pending is not None:
            await self._settle(self.current, self.changed_by, False)

    async def _settle(self, keys: MeterKeys, changed_by: str, is_new: bool) -> None:
        try:
            await asyncio.to_thread(self._write, keys, None, changed_by)
        except OSError:  # both are on disk still, and the next association settles it
            log.exception("meter %s: its keys cannot be stored", self.meter)
            return
        settled, self.pending = self.pending, None
        self.current, self.changed_by = keys, changed_by
        if settled is not None and self._settled is not None:
            self._settled(self.meter, settled.command_id, is_new)

    def _write(self, keys: MeterKeys, pending: Pending | None, changed_by: str) -> None:
        if self._path is None:
            return
        document: dict[str, object] = {
            "instead_of": _fingerprint(self._given),
            "keys": _as_hex(keys),
            "changed_by": changed_by,
        }
        if pending is not None:
            document["pending"] = _as_hex(pending.keys)
            document["pending_of"] = pending.command_id
        put(self._path, json.dumps(document).encode())


class KeyStore:
    """Where changed keys are kept.

    Args:
        folder: Of this gateway alone; None for somebody who changes none.
        settled: Told which keys a meter has after a change, however long that took to find out.
    """

    def __init__(self, folder: Path | None = None, settled: Settled | None = None) -> None:
        self._folder = folder
        self._settled = settled

    def held(self, meter: str, given: MeterKeys) -> HeldKeys:
        """Return the keys of a meter.

        Args:
            meter: Its id.
            given: What its keys file holds; all but the three keys that can be changed stays.

        Raises:
            ConfigError: what was stored cannot be read now.
        """
        proposed, given = given.proposed, replace(given, proposed=None)
        if self._folder is None:
            return HeldKeys(meter, given)
        path = self._folder / f"{quote(meter, safe='')}.json"
        found = HeldKeys(meter, given, None, "", path, given, self._settled)
        if proposed is not None:
            command_id, keys = proposed
            found.pending = Pending(command_id, _taken(given, keys))
        try:
            document = json.loads(path.read_text(encoding="ascii"))
            _take_document(found, document, given)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            path.rename(path.with_suffix(".damaged"))
            log.warning("meter %s: %s was damaged and is moved aside", meter, path)
        return found


def _take_document(found: HeldKeys, document: dict[str, object], given: MeterKeys) -> None:
    pending, is_same = document.get("pending"), document["instead_of"] == _fingerprint(given)
    if isinstance(pending, dict):
        found.pending = Pending(str(document["pending_of"]), _with(given, pending))
    elif is_same:  # what was proposed in the keys file is settled
        found.pending = None
    if is_same:
        keys = document["keys"]
        found.current = _with(given, keys if isinstance(keys, dict) else {})
        found.changed_by = str(document["changed_by"])
    else:
        log.warning("meter %s: its keys file has other keys than before; they count", found.meter)


def _with(given: MeterKeys, keys: dict[str, str]) -> MeterKeys:
    return _taken(given, {name: bytes.fromhex(keys[name]) for name in NAMES if name in keys})


def _taken(keys: MeterKeys, others: Mapping[str, Any]) -> MeterKeys:
    return replace(keys, **dict(others))


def _as_hex(keys: MeterKeys) -> dict[str, str]:
    found = {name: getattr(keys, name) for name in NAMES}
    return {name: key.hex() for name, key in found.items() if key is not None}


def _fingerprint(keys: MeterKeys) -> str:
    text = json.dumps(_as_hex(keys), sort_keys=True).encode()
    return hashlib.sha256(b"hesper keys file" + text).hexdigest()[:16]
