"""dlms-cosem measured, in a process of its own; see `peers`."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import structlog
from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.parsers import ProfileGenericBufferParser
from dlms_cosem.protocol.xdlms import GetResponseNormal
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    SecurityControlField,
    decrypt,
)
from dlms_cosem.utils import parse_as_dlms_data

from hesper_lab.bench import peer_work
from hesper_lab.bench.peer_work import Task

_REGISTER = enumerations.CosemInterface.REGISTER
_ENERGY = cosem.CosemAttribute(_REGISTER, cosem.Obis(1, 0, 1, 8, 0, 255), 2)
_CLOCK = cosem.CosemAttribute(enumerations.CosemInterface.CLOCK, cosem.Obis(0, 0, 1, 0, 0, 255), 2)


class Meter:
    """The peer's client of the task's meter."""

    def __init__(self, task: Task) -> None:
        task["counter"] = task.get("counter", 0) + 1000
        self._client = DlmsClient(
            transport=TcpTransport(
                client_logical_address=1,
                server_logical_address=1,
                io=BlockingTcpIO(host="127.0.0.1", port=task["port"], timeout=5),
            ),
            client_system_title=bytes.fromhex(task["client"]),
            authentication=HighLevelSecurityGmacAuthentication(challenge_length=16),
            encryption_key=bytes.fromhex(task["encryption_key"]),
            authentication_key=bytes.fromhex(task["authentication_key"]),
            client_initial_invocation_counter=task["counter"],
        )
        self._client.connect()

    def associate(self) -> None:
        """Open the association with HLS."""
        self._client.associate()

    def read(self) -> int:
        """Read the register once."""
        return int(parse_as_dlms_data(self._client.get(_ENERGY)))

    def close(self) -> None:
        """Close the socket."""
        self._client.disconnect()


def _opened(task: Task, octets: bytes) -> bytes:
    """Return the plain get-response of a glo-get-response whose length takes three octets."""
    if task["kind"] == "plain":
        return octets
    head = 2 + (octets[1] & 0x7F)
    plain: bytes = decrypt(
        SecurityControlField.from_bytes(octets[head : head + 1]),
        bytes.fromhex(task["meter"]),
        int.from_bytes(octets[head + 1 : head + 5], "big"),
        bytes.fromhex(task["encryption_key"]),
        octets[head + 5 :],
        bytes.fromhex(task["authentication_key"]),
    )
    return plain


def _decoding(task: Task) -> dict[str, float]:
    octets = bytes.fromhex(task["octets"])
    parser = ProfileGenericBufferParser([_CLOCK, *[_ENERGY] * (task["columns"] - 1)], 15)

    def decode() -> list[list[Any]]:
        answer = GetResponseNormal.from_bytes(_opened(task, octets))
        rows: list[list[Any]] = parser.parse_bytes(answer.data)
        return rows

    when, *values = (column.value for column in decode()[-1])
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return peer_work.decoding(task, decode, [int(moment.timestamp()), *values])


def measure(task: Task) -> dict[str, float]:
    """Carry out a task."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if task["kind"] == "association":
        return peer_work.associating(task, lambda: Meter(task))
    if task["kind"] == "get":
        return peer_work.reading(task, Meter(task))
    return _decoding(task)


if __name__ == "__main__":
    peer_work.report(measure)
