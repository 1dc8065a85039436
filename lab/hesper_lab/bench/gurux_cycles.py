"""Full cycles by gurux_dlms, in a process of its own because it is GPL-2.0-only; see `peers`.

One cycle is what the gateway does at a visit: a connection, an association with HLS-GMAC, clock and
name, what the load profile captures and how often, its last day, both states of the relay, release.
"""

from __future__ import annotations

import itertools
import socket
import sys
from datetime import UTC, datetime
from typing import Any

from gurux_dlms import GXByteBuffer, GXDateTime, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSProfileGeneric,
)
from gurux_dlms.secure import GXDLMSSecureClient

from hesper_lab.bench import peer_work
from hesper_lab.bench.gurux_peer import FastStream
from hesper_lab.bench.peer_work import Task
from hesper_lab.bench.rows import per_second

_FIRST_COUNTER = {False: 2**24, True: 2**28}
"""By `fast_aes`: both processes ask the same meter, one after the other."""
_COUNTERS_EACH = 1000


class Cycle:
    """One connection to the task's meter."""

    def __init__(self, task: Task, invocation_counter: int) -> None:
        self._task = task
        server = task["server_address"]
        self._client = GXDLMSSecureClient(
            True, 1, server, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER
        )
        ciphering = self._client.ciphering
        ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        ciphering.systemTitle = bytes.fromhex(task["client"])
        ciphering.blockCipherKey = bytes.fromhex(task["encryption_key"])
        ciphering.authenticationKey = bytes.fromhex(task["authentication_key"])
        ciphering.invocationCounter = invocation_counter
        self._socket = socket.create_connection((task["host"], task["port"]), timeout=10)

    def run(self) -> list[list[Any]]:
        """Do the whole of it; return the rows of the day."""
        client = self._client
        client.parseAareResponse(self._ask(client.aarqRequest()).data)
        proof = self._ask(client.getApplicationAssociationRequest())
        client.parseApplicationAssociationResponse(proof.data)
        self._read(GXDLMSClock(), 2)
        self._read(GXDLMSData("0.0.42.0.0.255"), 2)
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        for attribute in (3, 4):
            self._read(profile, attribute)
        start, end = (
            GXDateTime(datetime.fromtimestamp(self._task[name], UTC)) for name in ("start", "end")
        )
        rows = self._ask(client.readRowsByRange(profile, start, end))
        client.updateValue(profile, 2, rows.value)
        relay = GXDLMSDisconnectControl("0.0.96.3.10.255")
        for attribute in (2, 3):
            self._read(relay, attribute)
        self._ask(client.releaseRequest())
        self._socket.close()
        found: list[list[Any]] = profile.buffer
        return found

    def _read(self, item: Any, attribute: int) -> None:
        reply = self._ask(self._client.read(item, attribute))
        self._client.updateValue(item, attribute, reply.value)

    def _ask(self, messages: Any) -> GXReplyData:
        reply = GXReplyData()
        for message in messages:
            self._exchange(message, reply)
            while reply.isMoreData():
                self._exchange(self._client.receiverReady(reply), reply)
        if reply.error:
            raise ValueError(f"the meter refused the peer: {reply.error}")
        return reply

    def _exchange(self, message: Any, reply: GXReplyData) -> None:
        self._socket.sendall(bytes(message))
        arrived = GXByteBuffer()
        arrived.set(self._socket.recv(65536))
        while not self._client.getData(arrived, reply):
            arrived.set(self._socket.recv(65536))


def measure(task: Task) -> dict[str, float]:
    """Return cycles per second of this process's CPU time; ValueError where a row is wrong."""
    if task["fast_aes"]:
        sys.modules["gurux_dlms.GXDLMSChippering"].GXDLMSChipperingStream = FastStream  # type: ignore[attr-defined]
    counters = itertools.count(_FIRST_COUNTER[task["fast_aes"]], _COUNTERS_EACH)
    rows = Cycle(task, next(counters)).run()
    times = [int(row[0].value.timestamp()) for row in rows]
    if times != task["times"] or rows[-1][-1] != task["last"]:
        raise ValueError(f"the peer reads other rows: {len(times)}, {rows[-1:]}")
    value = per_second(lambda: Cycle(task, next(counters)).run(), 1, task["seconds"])
    return {"value": value, "done": 1}


if __name__ == "__main__":
    peer_work.report(measure)
