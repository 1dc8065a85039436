"""A client for each of thousands of meters, in a process of its own so that it slows no meter down.


Reads its task as JSON on stdin, associates with every meter over a connection of its own (reading
client, LLS) and says `ready`. At `go` it asks every meter for one register, takes every answer,
and begins again: one request is under way on each connection at any time. Requests are encoded
once for each invoke-id, sockets block and are served in turn, so that a GET costs it two system
calls and one comparison. Every answer must have the length, the wPorts and the invoke-id that its
request asks for; the values of the last round are handed back to be checked one by one.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from typing import Any, Final, TypedDict

from hesper_dlms import apdu, obis
from hesper_dlms.apdu import CosemAttribute, GetRequestNormal
from hesper_dlms.client import AssociationSettings, Authentication, Client
from hesper_dlms.exchange import Exchange
from hesper_dlms.wrapper import wrap

CLIENT: Final = 2
REGISTER: Final = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
INVOKE_IDS: Final = 4
_ANSWER_OCTETS: Final = 17
_HEAD_OCTETS: Final = 13
_TIMEOUT_S: Final = 20


class Target(TypedDict):
    """A meter: where it listens, its wPort and the password of the reading client."""

    host: str
    port: int
    server_address: int
    password: str


class Session:
    """One open association and its requests."""

    __slots__ = ("heads", "requests", "socket")

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection((target["host"], target["port"]), _TIMEOUT_S)
        self.socket.setblocking(True)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        limit = struct.pack("ll", _TIMEOUT_S, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        server = target["server_address"]
        self.requests = _REQUESTS[server] if server in _REQUESTS else _requests(server)
        self.heads = _HEADS[server]
        settings = AssociationSettings(
            CLIENT, server, Authentication.LOW, password=target["password"].encode()
        )
        self._run(Client(settings.over_wrapper(), settings).connect())

    def _run(self, exchange: Exchange[Any]) -> None:
        octets = next(exchange)
        try:
            while True:
                self.socket.sendall(octets)
                octets = exchange.send(self.socket.recv(4096))
        except StopIteration:
            return


_REQUESTS: dict[int, tuple[bytes, ...]] = {}
_HEADS: dict[int, tuple[bytes, ...]] = {}


def _requests(server: int) -> tuple[bytes, ...]:
    """Encode the requests to one wPort, and how their answers must begin, by invoke-id."""
    invokes = [0xC0 | number for number in range(INVOKE_IDS)]
    requests = [GetRequestNormal(invoke, REGISTER).to_octets() for invoke in invokes]
    answers = [apdu.GetResponseNormal(invoke, b"\x06\0\0\0\0").to_octets() for invoke in invokes]
    _REQUESTS[server] = tuple(wrap(CLIENT, server, octets) for octets in requests)
    _HEADS[server] = tuple(wrap(server, CLIENT, octets)[:_HEAD_OCTETS] for octets in answers)
    return _REQUESTS[server]


def ask_all(sessions: list[Session], invoke: int) -> list[bytes]:
    """Send one request on every connection, then take and check every answer."""
    for session in sessions:
        session.socket.send(session.requests[invoke])
    answers = []
    for session in sessions:
        answer = session.socket.recv(_ANSWER_OCTETS)
        if len(answer) != _ANSWER_OCTETS or answer[:_HEAD_OCTETS] != session.heads[invoke]:
            raise ValueError(f"a meter answered {answer.hex()}")
        answers.append(answer[_HEAD_OCTETS:])
    return answers


def main() -> None:
    """Carry out the task on stdin."""
    task = json.loads(sys.stdin.readline())
    sessions = [Session(target) for target in task["targets"]]
    ask_all(sessions, 0)
    _say({"ready": len(sessions)})
    sys.stdin.readline()
    rounds, begun = 0, time.monotonic()
    while (spent_s := time.monotonic() - begun) < task["seconds"]:
        rounds += 1
        asked_at = time.time()
        answers = ask_all(sessions, rounds % INVOKE_IDS)
    _say(
        {
            "gets": rounds * len(sessions),
            "wall_s": spent_s,
            "cpu_s": time.process_time(),
            "asked_at": asked_at,
            "values": [int.from_bytes(answer, "big") for answer in answers],
        }
    )
    sys.stdin.readline()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
