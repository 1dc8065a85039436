"""gurux_dlms measured, in a process of its own because it is GPL-2.0-only; see `peers`.

It is used as its own examples use it: `getData` on a frame, then `updateValue` of the profile, that
makes date-times, with a new client each time, as a new association would be. With `fast_aes` its
AES-GCM in pure Python gives way to the one of the cryptography package, so that what is compared is
the rest of it.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.GXDLMSChipperingStream import GXDLMSChipperingStream
from gurux_dlms.objects import (
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient

from hesper_lab.bench import peer_work
from hesper_lab.bench.peer_work import Task

_WRAPPER = bytes.fromhex("000100010001")
_TAG_OCTETS = 12


class FastStream(GXDLMSChipperingStream):  # type: ignore[misc]
    """Its AES-GCM stream over the cryptography package; a given tag is verified."""

    def __init__(
        self, security: Any, encrypt: bool, key: Any, authenticated: Any, iv: Any, tag: Any
    ) -> None:
        del encrypt
        self.security, self.tag = security, tag
        mode = GCM(bytes(iv), bytes(tag) if tag else None, _TAG_OCTETS)
        cipher = Cipher(AES(bytes(key)), mode)
        self._stream: Any = cipher.decryptor() if tag else cipher.encryptor()
        self._stream.authenticate_additional_data(bytes(authenticated))
        self._octets = b""

    def write(self, octets: Any) -> None:
        """Encrypt or decrypt."""
        self._octets += self._stream.update(bytes(octets))

    def flushFinalBlock(self) -> bytes:  # noqa: N802 - its name
        """Return the octets; make or verify the tag."""
        octets: bytes = self._octets + self._stream.finalize()
        if not self.tag:
            self.tag = bytearray(self._stream.tag[:_TAG_OCTETS])
        return octets


class Meter:
    """The peer's client of the task's meter."""

    def __init__(self, task: Task) -> None:
        gmac = Authentication.HIGH_GMAC if "port" in task else Authentication.NONE
        self._client = GXDLMSSecureClient(True, 1, 1, gmac, None, InterfaceType.WRAPPER)
        ciphering = self._client.ciphering
        if task["kind"] != "plain":
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            ciphering.systemTitle = bytes.fromhex(task["client"])
            ciphering.blockCipherKey = bytes.fromhex(task["encryption_key"])
            ciphering.authenticationKey = bytes.fromhex(task["authentication_key"])
        if "port" in task:
            task["counter"] = task.get("counter", 0) + 1000
            ciphering.invocationCounter = task["counter"]
            self._socket = socket.create_connection(("127.0.0.1", task["port"]), timeout=5)
        else:
            self._client.settings.sourceSystemTitle = bytes.fromhex(task["meter"])

    def decode(self, frame: bytes, columns: int) -> list[list[Any]]:
        """Return the rows of the profile in a frame."""
        reply = GXReplyData()
        self._client.getData(GXByteBuffer(frame), reply, GXReplyData())
        profile = _profile(columns)
        self._client.updateValue(profile, 2, reply.value)
        rows: list[list[Any]] = profile.buffer
        return rows

    def associate(self) -> None:
        """Open the association with HLS."""
        self._client.parseAareResponse(self._ask(self._client.aarqRequest()).data)
        proof = self._ask(self._client.getApplicationAssociationRequest())
        self._client.parseApplicationAssociationResponse(proof.data)

    def read(self) -> int:
        """Read the register once."""
        return int(self._ask(self._client.read(GXDLMSRegister("1.0.1.8.0.255"), 2)).value)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _ask(self, messages: Any) -> GXReplyData:
        reply = GXReplyData()
        for message in messages:
            self._socket.sendall(bytes(message))
            arrived = GXByteBuffer()
            arrived.set(self._socket.recv(4096))
            self._client.getData(arrived, reply)
        if reply.error:
            raise ValueError(f"our server refused the peer: {reply.error}")
        return reply


def _profile(columns: int) -> Any:
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    profile.captureObjects.append((GXDLMSClock(), GXDLMSCaptureObject(2, 0)))
    for number in range(1, columns):
        register = GXDLMSRegister(f"1.0.{number}.8.0.255")
        profile.captureObjects.append((register, GXDLMSCaptureObject(2, 0)))
    return profile


def _decoding(task: Task) -> dict[str, float]:
    octets = bytes.fromhex(task["octets"])
    frame = _WRAPPER + len(octets).to_bytes(2, "big") + octets

    def decode() -> list[list[Any]]:
        return Meter(task).decode(frame, task["columns"])

    when, *values = decode()[-1]
    return peer_work.decoding(task, decode, [int(when.value.timestamp()), *values])


def measure(task: Task) -> dict[str, float]:
    """Carry out a task."""
    if task["fast_aes"]:
        sys.modules["gurux_dlms.GXDLMSChippering"].GXDLMSChipperingStream = FastStream  # type: ignore[attr-defined]
    if task["kind"] == "association":
        return peer_work.associating(task, lambda: Meter(task))
    if task["kind"] == "get":
        return peer_work.reading(task, Meter(task))
    return _decoding(task)


if __name__ == "__main__":
    peer_work.report(measure)
