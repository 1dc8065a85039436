"""A head end that only gives receipts: every batch that arrives counts as durably stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hesper_contracts import batch, receipts
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.signing import Signer
from hesper_contracts.topics import Address, Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

_BATCHES = {Kind.READINGS, Kind.EVENTS, Kind.RESULTS}


@contextmanager
def giving(port: int, signer: Signer) -> Iterator[None]:
    """Give receipts on a broker of this machine, in a thread, while the context lasts."""
    topics = Topics()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

    def connected(_client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{topics.root}/+/up/#", qos=1)

    def heard(_client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        address = topics.parse(message.topic)
        if isinstance(address, Address) and address.kind in _BATCHES:
            payload = bytes(message.payload)
            opened = batch.open_(payload)
            receipt = Receipt(opened.sequence, batch.digest(payload))
            told = ReceiptList(address.gateway, opened.epoch, (receipt,))
            down = topics.down(address.gateway, Kind.RECEIPTS)
            client.publish(down, receipts.to_payload(told, signer), qos=1)

    client.on_connect, client.on_message = connected, heard
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()
