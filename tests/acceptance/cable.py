"""A cable between a gateway and a meter that can be pulled, and plugged in at another meter."""

import contextlib
import socket
import threading
from typing import Any

_OCTETS = 65_536
_LOOPBACK = "127.0.0.1"


class Cable:
    """Passes octets on between whoever connects to `port` and another port of this machine."""

    def __init__(self, port: int, far_port: int) -> None:
        self.port = port
        self._plugs: list[socket.socket] = []
        self.plug(far_port)

    def plug(self, far_port: int) -> None:
        """Leads to a port from now on."""
        listener = socket.create_server((_LOOPBACK, self.port))
        self._plugs = [listener]
        _in_background(self._connect, listener, far_port)

    def pull(self) -> None:
        """Ends what is connected; nobody can connect any more."""
        for each in self._plugs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _connect(self, listener: socket.socket, far_port: int) -> None:
        plugs = self._plugs
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((_LOOPBACK, far_port))
                plugs += [near, far]
                _in_background(_pass_on, near, far)
                _in_background(_pass_on, far, near)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(_OCTETS):
            target.sendall(octets)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _in_background(work: Any, *arguments: Any) -> None:
    threading.Thread(target=work, args=arguments, daemon=True).start()
