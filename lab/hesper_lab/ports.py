"""Loopback ports for servers that are about to start: no two processes are given the same one.

Between the choice of a port and the moment its server listens, seconds can pass; another run on
this machine must not choose it meanwhile. So each port given is locked for its process: one octet
of a shared file, by the port's number, freed by the system when the process ends.
"""

import fcntl
import functools
import http.client
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

_PORTS = range(20_000, 32_768)
"""Below what outgoing connections get: one of them could take a port before its server does."""
_given: set[int] = set()


def free_port(wanted: int | None = None) -> int:
    """Return the wanted loopback port if it is free, else one that is; no other one twice."""
    if wanted is not None and _is_free(wanted) and _lock([wanted]):
        return wanted
    return free_ports(1)[0]


def free_ports(count: int) -> range:
    """Return so many neighbouring ports that are free, for TCP and for UDP.

    Raises:
        OSError: there are none.
    """
    firsts = range(_PORTS.start, _PORTS.stop - count + 1)
    for first in random.sample(firsts, len(firsts)):
        ports = range(first, first + count)
        if _given.isdisjoint(ports) and all(map(_is_free, ports)) and _lock(ports):
            return ports
    raise OSError(f"no {count} free ports on the loopback interface")


def accepts(port: int) -> bool:
    """Return whether something listens on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str, timeout_s: float = 5.0) -> bool:
    """Return whether a plain HTTP address is served, and with success.

    Cheap enough to be asked many times a second of a server that is starting: functions of httpx
    load all certificates that this machine trusts at each call.
    """
    parts = urlsplit(url)
    place = parts.path or "/"
    with closing(http.client.HTTPConnection(parts.netloc, timeout=timeout_s)) as connection:
        try:
            connection.request("GET", place)
            return connection.getresponse().status // 100 == 2
        except (OSError, http.client.HTTPException):
            return False


def _is_free(port: int) -> bool:
    with ExitStack() as held:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            probe = held.enter_context(socket.socket(type=kind))
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _lock(ports: Iterable[int]) -> bool:
    """Keep these ports from other processes; return whether none of them has one."""
    for port in ports:
        try:
            fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except BlockingIOError:
            return False
        _given.add(port)
    return True


@functools.cache
def _locks() -> int:
    """Open the file of locks, for good: to close it would free them all."""
    file = Path(tempfile.gettempdir()) / f"hesper-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
