"""A witness of the head end's audit log: keeps what was signed of it, out of the head end's reach.

Theory of operation
-------------------
::

    down/witness ──verified──→ file, synchronised ──→ up/witness, retained
                                  └ does it contradict what is held? an alarm

Checkpoints come retained and again on every new connection. Each that is new is appended, as it
came, before anything is told of it. One that says less than what is held, or something else of the
same row, contradicts it: rows of the log were lost, an old database was put back, or the log was
written anew. Both are kept then, and told; who is right is for a person with
``hesper-cloud audit verify``.

The file has a line in base64 for each, at most ``MOST_HELD``. When it is full, every second of the
older half goes, so that what is long ago stays witnessed, more and more thinly.
"""

import asyncio
import base64
import binascii
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from hesper_contracts import jsonbody, witness
from hesper_contracts.durable import synchronise
from hesper_contracts.frame import HEADER_LENGTH, Kind, Refused
from hesper_contracts.signing import Keyring, body_of
from hesper_contracts.witness import MOST_TOLD, Checkpoint, Testimony

from hesper_gateway.secrets_files import put

log = logging.getLogger(__name__)

FILE_NAME = "witness"
"""In the gateway's state."""
MOST_HELD = 256
MOST_WAITING = 16

Alarm = Callable[[str, str], None]
"""Takes an event code and a text; returns at once."""
Publish = Callable[[Kind, bytes], Awaitable[bool]]
"""Publishes retained; returns whether the broker took it."""


class Witness:
    """Takes checkpoints and tells what it holds; `run` it as a task.

    Args:
        gateway: This gateway's name.
        path: The file.
        keys: The authority's keys.
        alarm: Told of what contradicts what is held, and of a file that cannot be written.
    """

    def __init__(self, gateway: str, path: Path, keys: Keyring, alarm: Alarm) -> None:
        self._gateway = gateway
        self._path = path
        self._keys = keys
        self._alarm = alarm
        self._held = _held_or_nothing(path)
        self._waiting: asyncio.Queue[tuple[Checkpoint, bytes]] = asyncio.Queue(MOST_WAITING)

    def receive(self, payload: bytes) -> None:
        """Takes a checkpoint as it came; returns at once.

        Raises:
            Refused: it is none, or they come faster than the disk takes them.
            Forged: not signed by the authority.
        """
        said = witness.from_payload(payload, self._keys)
        try:
            self._waiting.put_nowait((said, payload))
        except asyncio.QueueFull:
            raise Refused("checkpoints faster than the disk; the next one counts") from None

    async def run(self, publish: Publish) -> None:
        """Keeps what comes, and tells after each what is held; runs for ever."""
        while True:
            said, payload = await self._waiting.get()
            if payload not in self._held:
                try:
                    await asyncio.to_thread(self._keep, payload)
                except OSError as error:
                    text = f"a checkpoint of the audit log cannot be kept: {error.strerror}"
                    self._alarm("gateway.witness_full", text)
                    continue
                self._compare(said)
            await publish(Kind.WITNESS, self.testimony())

    def testimony(self) -> bytes:
        """Returns what is told: the newest that are held."""
        newest = tuple(self._held[-MOST_TOLD:])
        return witness.testimony_to_payload(Testimony(gateway=self._gateway, checkpoints=newest))

    def _keep(self, payload: bytes) -> None:
        held = [*self._held, payload]
        if len(held) <= MOST_HELD:
            _append(self._path, payload)
        else:
            half = len(held) // 2
            held = held[:half:2] + held[half:]
            put(self._path, b"".join(map(_line, held)))
        self._held = held

    def _compare(self, said: Checkpoint) -> None:
        """Alarms when one that was held before says otherwise."""
        before = [_read(payload) for payload in self._held[:-1]]
        longest = max((each.sequence for each in before), default=0)
        if said.sequence < longest:
            text = f"the audit log had {longest} rows and is shown with {said.sequence}"
        elif any(each.sequence == said.sequence and each.head != said.head for each in before):
            text = f"row {said.sequence} of the audit log was another"
        else:
            return
        self._alarm("gateway.audit_contradicted", f"{text}: run hesper-cloud audit verify")


def _held_or_nothing(path: Path) -> list[bytes]:
    """Returns what a file holds; one that a card does not give back keeps no gateway from work."""
    try:
        return held_in(path)
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error.strerror)
        return []


def held_in(path: Path) -> list[bytes]:
    """Returns the checkpoints in a file, as they came; what a power cut left half is skipped."""
    try:
        lines = path.read_bytes().split()
    except FileNotFoundError:
        return []
    held = []
    for line in lines:
        try:
            payload = base64.b64decode(line, validate=True)
            _read(payload)
        except (binascii.Error, Refused):
            log.warning("%s: a line that holds no checkpoint is skipped", path)
        else:
            held.append(payload)
    return held


def _read(payload: bytes) -> Checkpoint:
    """Returns what a payload says that was verified when it came; keys may have changed since."""
    return jsonbody.decode(body_of(payload[HEADER_LENGTH:]), Checkpoint)


def _append(path: Path, payload: bytes) -> None:
    """Appends a line durably; a line that was cut off before it stays a line of its own."""
    is_new = not path.exists()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.write(b"\n" + _line(payload))
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        synchronise(path.parent)


def _line(payload: bytes) -> bytes:
    return base64.b64encode(payload) + b"\n"
