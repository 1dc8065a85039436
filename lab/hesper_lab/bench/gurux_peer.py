"""gurux_dlms decoding the benchmark's profile, in a process of its own because it is GPL-2.0-only.

Reads the task as JSON on stdin, prints rows per second as JSON on stdout. It is used as its own
examples use it: `getData` on a frame, then `updateValue` of the profile, which makes date-times. A
new client each time, as a new association would be. What it decodes is checked against our last
row.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import (
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.secure import GXDLMSSecureClient

from hesper_lab.bench.rows import per_second

_WRAPPER = bytes.fromhex("000100010010")


class Peer:
    """The peer's client for one task."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task

    def frame(self, name: str) -> bytes:
        """Return an answer of the task in the TCP wrapper."""
        octets = bytes.fromhex(self._task[name])
        return _WRAPPER + len(octets).to_bytes(2, "big") + octets

    def decode(self, frame: bytes, ciphered: bool) -> list[list[Any]]:
        """Return the rows of the profile in a frame."""
        client = GXDLMSSecureClient(True, 16, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
        if ciphered:
            self._cipher(client)
        reply = GXReplyData()
        client.getData(GXByteBuffer(frame), reply, GXReplyData())
        profile = self._profile()
        client.updateValue(profile, 2, reply.value)
        rows: list[list[Any]] = profile.buffer
        return rows

    def _cipher(self, client: Any) -> None:
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.systemTitle = bytes.fromhex(self._task["client"])
        client.ciphering.blockCipherKey = bytes.fromhex(self._task["encryption_key"])
        client.ciphering.authenticationKey = bytes.fromhex(self._task["authentication_key"])
        client.settings.sourceSystemTitle = bytes.fromhex(self._task["meter"])

    def _profile(self) -> Any:
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        profile.captureObjects.append((GXDLMSClock(), GXDLMSCaptureObject(2, 0)))
        for number in range(1, self._task["columns"]):
            register = GXDLMSRegister(f"1.0.{number}.8.0.255")
            profile.captureObjects.append((register, GXDLMSCaptureObject(2, 0)))
        return profile

    def measure(self, name: str) -> float:
        """Return rows per second for one answer of the task."""
        frame, ciphered = self.frame(name), name == "ciphered"
        rows = self.decode(frame, ciphered)
        when, *values = rows[-1]
        if [int(when.value.timestamp()), *values] != self._task["last_row"]:
            raise ValueError(f"the peer decodes another profile: {rows[-1]}")
        return per_second(lambda: self.decode(frame, ciphered), len(rows))


def main() -> None:
    """Measure every answer of the task on stdin."""
    peer = Peer(json.load(sys.stdin))
    with contextlib.redirect_stdout(sys.stderr):
        measured = {name: peer.measure(name) for name in ("plain", "ciphered")}
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    main()
