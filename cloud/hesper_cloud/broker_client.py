"""A client of the broker in the name of one account, as every role of the cloud makes it.

Password and certificate are read anew for each connection: people change them while a role runs.
"""

import logging
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hesper_cloud.bulk_client import BulkClient
from hesper_cloud.prompt_client import PromptClient
from hesper_cloud.settings import BrokerAccount

log = logging.getLogger(__name__)

_Client = TypeVar("_Client", bound=mqtt.Client)


class _Trust(ssl.SSLContext):
    """Takes the word on the broker's certificate of whom a file names at each connection."""

    file: Path

    @classmethod
    def of(cls, file: Path) -> "_Trust":
        """Returns the trust of a file; raises OSError where that holds no certificate."""
        ssl.create_default_context(cafile=str(file))
        made = cls(ssl.PROTOCOL_TLS_CLIENT)
        made.file = file
        return made

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        return ssl.create_default_context(cafile=str(self.file)).wrap_socket(*arguments, **options)


def make(
    account: BrokerAccount | None,
    tls_ca: Path | None,
    client_id: str = "",
    *,
    manual_ack: bool = False,
) -> mqtt.Client:
    """Returns a client that is not connected yet.

    Args:
        account: Who it is; None where the broker asks nobody.
        tls_ca: Whose word on the broker's certificate counts; None without TLS.
        client_id: Its name at the broker; empty: the broker gives it one.
        manual_ack: Whether messages are acknowledged one by one, and not by their callback's end.

    Raises:
        OSError: the password or the certificate cannot be read.
    """
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5, manual_ack=manual_ack
    )
    return _admitted(client, account, tls_ca)


def make_bulk(account: BrokerAccount | None, tls_ca: Path | None) -> BulkClient:
    """Returns a client for thousands of messages a second, acknowledged by hand; see `make`."""
    client = BulkClient(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, manual_ack=True)
    return _admitted(client, account, tls_ca)


def make_prompt(account: BrokerAccount | None, tls_ca: Path | None) -> PromptClient:
    """Returns a client for messages that leave at once or not at all; see `make`."""
    client = PromptClient(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    return _admitted(client, account, tls_ca)


def _admitted(client: _Client, account: BrokerAccount | None, tls_ca: Path | None) -> _Client:
    def name(_client: mqtt.Client, _data: Any) -> None:
        if account is not None:
            client.username_pw_set(account.username, account.password())

    name(client, None)
    client.on_pre_connect = name
    if tls_ca is not None:
        client.tls_set_context(_Trust.of(tls_ca))
    return client


def end(client: mqtt.Client) -> None:
    """Ends the connection of a client, and waits until its thread has ended."""
    client.disconnect()
    with suppress(AttributeError):  # paho looks whether there is one: it may end before the wait
        client.loop_stop()


def refused(what: str, *reasons: ReasonCode) -> bool:
    """Returns whether the broker refuses a subscription, and logs why."""
    failures = [reason for reason in reasons if reason.is_failure]
    for reason in failures:
        log.error("the broker refuses %s: %s; check account and access file", what, reason)
    return bool(failures)


def properties(packet: int, **values: object) -> Properties:
    """Returns MQTT 5 properties of a packet, by their names at paho."""
    untyped: Any = Properties  # paho ships this class untyped
    found: Properties = untyped(packet)
    for name, value in values.items():
        setattr(found, name, value)
    return found
