"""The MQTT 5 connection of a gateway: its account, session, last will and TLS.

Clean Start stays off from the very first connect: in Mosquitto 2.0.11 a session that was born with
Clean Start 1 vanishes at a clean broker restart, and the commands queued in it with it.

Time limits are ours, not aiomqtt's: its `asyncio.wait_for` can swallow a cancellation before Python
3.12, and a task that missed its cancellation would keep the gateway from stopping.
"""

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from hesper_contracts import trace
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hesper_gateway.errors import GatewayError

QOS = 1
SESSION_EXPIRY_S = 24 * 3600
LARGEST_PACKET = 1024 * 1024
MOST_QUEUED_INCOMING = 1000
TIMEOUT_S = 10.0
_NOT_NOW = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class Shown(Protocol):
    """Key and certificate in one file; which one, is asked for each connection."""

    def choose(self) -> Path:
        """Return the file for the connection that is about to be made."""
        ...

    def taken(self) -> None:
        """Note that the broker took it."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """Where the broker is and who we are there."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: Callable[[], str | None] = lambda: None
    """Asked for each connection: people change it while the agent runs."""
    tls_ca: Path | None = None
    keepalive_s: int = 30
    shown: Shown | None = None
    """The certificate by which the broker knows us."""


def client(account: Account, will: aiomqtt.Will) -> aiomqtt.Client:
    """Returns a client for one connection; entering it connects.

    Raises:
        ConfigError: the password file cannot be used.
        OSError: a certificate cannot be read.
    """
    paho_log = logging.getLogger("hesper_gateway.mqtt")
    paho_log.setLevel(logging.ERROR)
    made = aiomqtt.Client(
        account.host,
        account.port,
        username=account.username,
        password=account.password(),
        identifier=account.client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=_session(),
        will=will,
        keepalive=account.keepalive_s,
        timeout=TIMEOUT_S,
        max_queued_incoming_messages=MOST_QUEUED_INCOMING,
        max_inflight_messages=100,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        tls_context=_tls(account),
        logger=paho_log,
    )
    made.pending_calls_threshold = 1000
    return made


class BrokerRefused(GatewayError):
    """The broker is there and does not take the account, or its certificate is not believed."""


class BrokerUnreachable(GatewayError):
    """No broker answers there now."""


async def reach(account: Account) -> None:
    """Connects and leaves again; leaves no session behind, and none that was there is lost.

    A certificate's name is the client identifier as well, so that visit is the gateway's own: an
    agent that is connected is put off for a moment and comes back into its session.

    Raises:
        BrokerRefused: a person must correct account, password or certificate.
        BrokerUnreachable: try again when there is a network.
    """
    try:
        visitor = aiomqtt.Client(
            account.host,
            account.port,
            username=account.username,
            password=account.password(),
            identifier=account.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=account.shown is None,
            properties=None if account.shown is None else _session(),
            timeout=TIMEOUT_S,
            tls_context=_tls(account),
            logger=logging.getLogger("hesper_gateway.mqtt"),
        )
        async with visitor:
            pass
    except MqttConnectError as error:
        raise BrokerRefused(str(error)) from error
    except (aiomqtt.MqttError, OSError) as error:
        if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            raise BrokerRefused(f"TLS: {reason(error)}") from error
        raise BrokerUnreachable(str(error)) from error


async def subscribe(client: aiomqtt.Client, *filters: str) -> None:
    """Subscribes with QoS 1.

    Raises:
        TimeoutError: the broker does not answer.
        aiomqtt.MqttError: the connection broke, or this account may not subscribe.
    """
    async with asyncio.timeout(TIMEOUT_S):
        granted = await client.subscribe([(each, QOS) for each in filters], timeout=math.inf)
    for each, code in zip(filters, granted, strict=True):
        if isinstance(code, ReasonCode) and code.is_failure:
            raise aiomqtt.MqttError(f"the broker refuses the subscription to {each}: {code}")


async def publish(
    client: aiomqtt.Client,
    topic: str,
    payload: bytes,
    *,
    retain: bool = False,
    qos: int = QOS,
    traceparent: str | None = None,
) -> None:
    """Publishes, with QoS 1 until the PUBACK has come; with a trace context where there is one.

    Raises:
        TimeoutError: the broker does not acknowledge.
        aiomqtt.MqttError: the connection broke.
    """
    async with asyncio.timeout(TIMEOUT_S):
        await client.publish(
            topic,
            payload,
            qos=qos,
            retain=retain,
            properties=None if traceparent is None else _traced(traceparent),
            timeout=math.inf,
        )


def traceparent_of(message: aiomqtt.Message) -> str:
    """Returns the trace context that came with a message, or nothing."""
    pairs = getattr(message.properties, "UserProperty", ())
    return next((value for name, value in pairs if name == trace.PROPERTY), "")


def _traced(traceparent: str) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = [(trace.PROPERTY, traceparent)]
    return properties


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_EXPIRY_S
    properties.MaximumPacketSize = LARGEST_PACKET
    return properties


def reason(error: BaseException) -> str:
    """Returns what an error means for a person; where the clock may be wrong, that is said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _NOT_NOW:
            return (
                f"{cause.verify_message}; this device's clock says {datetime.now(UTC):%F %R} UTC: "
                "if that is wrong, set it (timedatectl)"
            )
        cause = cause.__cause__ or cause.__context__
    return str(error)


def loss(account: Account, error: BaseException) -> str:
    """Returns why there is no connection, and, where a person must act, what to look at."""
    where, why = f"{account.host}:{account.port}", reason(error)
    if isinstance(error, TimeoutError) and not why:
        why = f"it does not acknowledge within {TIMEOUT_S:g} s what it is sent"
    if isinstance(error, MqttConnectError):
        return (
            f"{where} refuses {account.username or account.client_id}: {why}; "
            "compare [broker] in gateway.toml with the broker's password file"
        )
    if isinstance(error.__context__, ConnectionRefusedError):
        why += "; does the broker run, on this host and port? [broker] in gateway.toml"
    return f"{where}: {why}"


def _tls(account: Account) -> ssl.SSLContext | None:
    if account.tls_ca is None:
        return None
    context = ssl.create_default_context(cafile=str(account.tls_ca))
    if account.shown is not None:
        context.load_cert_chain(account.shown.choose())
    return context
