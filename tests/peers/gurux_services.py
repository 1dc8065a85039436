"""A gurux_dlms client in a process of its own (GPL-2.0-only): lists, ACCESS, general blocks.

Arguments: those of gurux_client, and services (names of functions below), window, conformance.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from gurux_client import Peer
from gurux_dlms import GXByteBuffer, GXDLMSAccessItem, GXReplyData
from gurux_dlms.enums import AccessServiceCommandType, Conformance, DataType, RequestTypes
from gurux_dlms.GXWriteItem import GXWriteItem
from gurux_dlms.objects import GXDLMSData, GXDLMSRegister

ENERGY = "1.0.1.8.0.255"
LONG = "0.0.96.50.0.255"
NAME = "0.0.42.0.0.255"


def plain(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, bytes | bytearray) else value


def read(peer: Peer) -> Any:
    return [peer.read(GXDLMSRegister(ENERGY), 2), peer.read(GXDLMSData(LONG), 2)]


def read_list(peer: Peer) -> Any:
    return read_items(peer, GXDLMSData(LONG))


def read_short_list(peer: Peer) -> Any:
    """Plain lists of several HDLC frames are decoded before they are whole."""
    return read_items(peer, GXDLMSData(NAME))


def read_items(peer: Peer, last: GXDLMSData) -> Any:
    items = [(GXDLMSRegister(ENERGY), 2), (GXDLMSData(NAME), 2), (last, 2)]
    values: list[Any] = []
    for message in peer.client.readList(items):
        reply = peer.send_all(message)
        values += reply.value
    return [plain(value) for value in values]


def write(peer: Peer) -> Any:
    name = GXDLMSData(NAME)
    name.value = bytes(range(200)) * 3
    name.setDataType(2, DataType.OCTET_STRING)
    peer.send_all(peer.client.write(name, 2))
    return True


class WriteItem(GXWriteItem):
    """What its constructor forgets again, and the method that its client calls."""

    def __init__(self, name: str, octets: bytes) -> None:
        super().__init__(None, 2)
        self.target = GXDLMSData(name)
        self.target.value = octets

    def getDataType(self) -> DataType:  # noqa: N802 - the name that the client calls
        return DataType.OCTET_STRING


def write_list(peer: Peer) -> Any:
    items = [WriteItem(NAME, b"one"), WriteItem(LONG, b"two")]
    peer.send_all(peer.client.writeList(items))
    return True


def access(peer: Peer) -> Any:
    """Reads alone: its own encoding of a write in an ACCESS fails before anything is sent."""
    items = [
        GXDLMSAccessItem(AccessServiceCommandType.GET, GXDLMSRegister(ENERGY), 2),
        GXDLMSAccessItem(AccessServiceCommandType.GET, GXDLMSData("0.0.99.99.99.255"), 2),
    ]
    for item in items:
        item.index = 2
    reply = peer.send_all(peer.client.accessRequest(None, items))
    peer.client.parseAccessResponse(items, reply.data)
    return [[int(item.error), plain(item.value)] for item in items]


class BlockPeer(Peer):
    """Knows the number of its next general block, which that client forgot to keep."""

    def send(self, octets: Any) -> Any:
        settings = self.client.settings
        settings.blockNumber = 1
        reply = GXReplyData()
        arrived = GXByteBuffer()
        self.socket.sendall(bytes(octets))
        while not self.client.getData(arrived, reply):
            arrived.set(self.socket.recv(4096))
        while reply.isMoreData():
            self.socket.sendall(bytes(self.client.receiverReady(reply)))
            if not reply.moreData & RequestTypes.FRAME:
                settings.blockNumber += 1
                settings.blockIndex = settings.blockNumber
            while not self.client.getData(arrived, reply):
                arrived.set(self.socket.recv(4096))
        return reply


SERVICES = {
    "read": read,
    "read_list": read_list,
    "read_short_list": read_short_list,
    "access": access,
    "write": write,
    "write_list": write_list,
}


def main() -> None:
    options = json.loads(sys.argv[1])
    blocks = "GENERAL_BLOCK_TRANSFER" in options["conformance"]
    peer = BlockPeer(options) if blocks else Peer(options)
    wanted = Conformance.NONE
    for name in options["conformance"]:
        wanted |= Conformance[name]
    peer.client.proposedConformance = wanted
    peer.client.gbtWindowSize = options.get("window", 1)
    peer.associate()
    found = {name: SERVICES[name](peer) for name in options["services"]}
    json.dump(found, sys.stdout)


main()
