"""What is said of a role's connection to the broker: why there is none, and that it is back.

Each cause of an outage is said once, with the broker's address, the account and what to try,
however often the connection is tried; then nothing until it is up again.
"""

import logging
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from hesper_cloud.settings import BrokerAccount

_ADVICE: tuple[tuple[type[OSError], str], ...] = (
    (
        ssl.SSLError,
        "compare tls_ca and port, [broker] in cloud.toml, with the broker's certificate",
    ),
    (socket.gaierror, "nobody knows this name: host, [broker] in cloud.toml"),
    (ConnectionRefusedError, "does the broker run, on this host and port? [broker] in cloud.toml"),
    (FileNotFoundError, "put it where [broker] in cloud.toml says that it is"),
    (PermissionError, "may the file be read, is no firewall in between? [broker] in cloud.toml"),
    (OSError, "is there a way to it, and no firewall in between? [broker] in cloud.toml"),
)
_REFUSED = "compare account and password_file, [broker] in cloud.toml, with the broker's"
_ENDED = "the broker's log says why"


class BrokerLink:
    """Tells of one client's connection; paho calls it on the client's thread.

    Args:
        role: Who connects, as a word in the log.
        address: Host and port of the broker.
        account: The account that the client shows, if any.
        log: Where it is told.
        clock: Seconds from anywhere, never set back.
    """

    def __init__(
        self,
        role: str,
        address: tuple[str, int],
        account: BrokerAccount | None,
        log: logging.Logger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role = role
        self._where = "{}:{}".format(*address)
        if account is not None:
            self._where += f" (account {account.username})"
        self._log = log
        self._clock = clock
        self._is_up = False
        self._told: set[str] = set()
        self._since = 0.0

    def came(self, reason: ReasonCode) -> bool:
        """Takes the broker's answer; says whether there is a connection now."""
        if reason.is_failure:
            self._lost(str(reason), _REFUSED)
            return False
        after = f", after {self._clock() - self._since:.0f} s" if self._told else ""
        self._log.info("%s is connected to the broker %s%s", self._role, self._where, after)
        self._is_up = True
        self._told.clear()
        return True

    def failed(self, _client: mqtt.Client, _data: Any) -> None:
        """Takes that nobody answered; paho calls it while it handles the error."""
        error = sys.exception()
        self._lost(str(error), next(said for kind, said in _ADVICE if isinstance(error, kind)))

    def ended(self, reason: ReasonCode) -> None:
        """Takes the end of a connection; one that was refused has been told."""
        if self._is_up and reason.is_failure:
            self._is_up = False
            self._lost(f"the connection ended ({reason})", _ENDED)

    def _lost(self, why: str, advice: str) -> None:
        if not self._told:
            self._since = self._clock()
        if why not in self._told:
            self._told.add(why)
            text = "%s has no connection to the broker %s: %s; %s. Trying again"
            self._log.warning(text, self._role, self._where, why, advice)
