"""What others hold of the audit log: asked of gateways through the broker, or read from files."""

import base64
import binascii
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hesper_contracts import witness
from hesper_contracts.frame import Refused
from hesper_contracts.topics import Address, Topics
from paho.mqtt import client as mqtt

from hesper_cloud import broker_client
from hesper_cloud.audit.examination import Witnessed
from hesper_cloud.settings import BrokerSettings

QUIET_S = 1.0
"""Retained messages follow a subscription at once; so long without another, there are no more."""
_CONNECT_S = 5.0


class NoTestimony(Exception):
    """Nobody could be asked, or a file holds no checkpoints; the text says why."""


@dataclass(slots=True)
class Testimonies:
    """What came in, and from whom; ``refused`` are messages that are no testimony."""

    witnessed: list[Witnessed] = field(default_factory=list)
    gateways: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def missing(self, known: Iterable[str]) -> list[str]:
        """Returns the gateways that said nothing."""
        return sorted(set(known) - self.gateways)


def from_file(path: Path) -> list[Witnessed]:
    """Reads what `hesper-gateway witness` printed: a checkpoint a line, base64.

    Raises:
        NoTestimony: it holds something else.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
        return [Witnessed(str(path), base64.b64decode(line, validate=True)) for line in lines]
    except (UnicodeDecodeError, binascii.Error):
        raise NoTestimony(f"{path}: expected a checkpoint a line in base64") from None


def ask(settings: BrokerSettings, known: Iterable[str], longest_s: float = 15.0) -> Testimonies:
    """Returns what the gateways' retained testimonies hold, from the authority's account.

    Args:
        settings: The broker.
        known: Ends early when all of these have spoken.
        longest_s: Ends whoever is still missing then.

    Raises:
        NoTestimony: the broker does not let us in.
    """
    wanted, found, came = set(known), Testimonies(), threading.Event()
    topics, entered, refusal = Topics(settings.root), threading.Event(), []

    def on_connect(client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            refusal.append(str(reason))
        else:
            client.subscribe(topics.every_witness(), qos=1)
        entered.set()

    def on_message(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        _take(topics, message, found)
        came.set()

    client = _client(settings)
    client.on_connect, client.on_message = on_connect, on_message
    try:
        client.connect(settings.host, settings.port)
    except OSError as error:
        raise NoTestimony(f"the broker does not answer: {error}") from None
    client.loop_start()
    try:
        if not entered.wait(_CONNECT_S) or refusal:
            raise NoTestimony(f"the broker refuses: {''.join(refusal) or 'no answer'}")
        ends_at = time.monotonic() + longest_s
        while wanted - found.gateways and time.monotonic() < ends_at:
            came.clear()
            if not came.wait(QUIET_S):
                break
    finally:
        broker_client.end(client)
    return found


def _client(settings: BrokerSettings) -> mqtt.Client:
    client = broker_client.make(settings.authority, settings.tls_ca)
    client.connect_timeout = _CONNECT_S
    return client


def _take(topics: Topics, message: mqtt.MQTTMessage, found: Testimonies) -> None:
    try:
        address = topics.parse(message.topic)
        if not isinstance(address, Address):
            return
        said = witness.testimony_from_payload(bytes(message.payload), address.gateway)
    except Refused as refused:
        found.refused.append(f"{message.topic}: {refused}")
        return
    found.gateways.add(said.gateway)
    found.witnessed += [Witnessed(said.gateway, each) for each in said.checkpoints]
