"""Other implementations, measured in processes of their own: gurux_dlms is GPL-2.0-only.

A peer reads its task as JSON on stdin and prints what it measured as JSON on stdout. Decoding is
measured in its process alone. For exchanges it is a client of our server, which runs here: what is
reported is its CPU time and our server's together, as for our own client. It needs a socket for
that, two system calls of some 5 µs each for a request; no peer is so fast that they would matter.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from hesper_dlms.errors import DlmsError
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink

_TIMEOUT_S: Final = 90


class Measured(NamedTuple):
    """What a peer reports: rows per second, or microseconds each, and how many it did."""

    value: float
    done: int


class Peer(NamedTuple):
    """An implementation: how it is called in rows, its module here, what must be installed."""

    name: str
    module: str
    requires: str
    fast_aes: bool = False

    def measure(self, task: dict[str, Any]) -> Measured | None:
        """Return what the peer measured of this task; None where it is not installed."""
        if find_spec(self.requires) is None:
            return None
        done = subprocess.run(
            [sys.executable, "-m", f"hesper_lab.bench.{self.module}"],
            input=json.dumps({**task, "fast_aes": self.fast_aes}),
            capture_output=True,
            text=True,
            check=True,
            timeout=_TIMEOUT_S,
        )
        return Measured(**json.loads(done.stdout))


GURUX: Final = Peer("gurux_dlms 1.0.203", "gurux_peer", "gurux_dlms")
GURUX_FAST: Final = Peer("gurux_dlms with cryptography's AES", "gurux_peer", "gurux_dlms", True)
DLMS_COSEM: Final = Peer("dlms-cosem 25.1.0", "cosem_peer", "dlms_cosem")
ALL: Final = (GURUX, GURUX_FAST, DLMS_COSEM)


class Served:
    """Our server on a loopback port, for one peer; counts the CPU time that its answers took."""

    def __init__(self, server: LogicalServer) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.spent_s = 0.0

    def serve(self) -> None:
        """Answer until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        meter = ServerConnection(self._server, WrapperServerLink(1))
        while octets := connection.recv(65536):
            begun = time.thread_time()
            try:
                answer = meter.receive(octets)
            except DlmsError:
                return
            self.spent_s += time.thread_time() - begun
            connection.sendall(answer)

    def close(self) -> None:
        """End `serve`."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def served(server: LogicalServer) -> Iterator[Served]:
    """Serve a meter on loopback, in a thread, while the context lasts."""
    on_port = Served(server)
    thread = threading.Thread(target=on_port.serve, name="bench meter", daemon=True)
    thread.start()
    try:
        yield on_port
    finally:
        on_port.close()
        thread.join(timeout=_TIMEOUT_S)
