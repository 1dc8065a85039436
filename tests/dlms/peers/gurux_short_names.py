"""A gurux_dlms client with short names in a process of its own (GPL-2.0-only): prints JSON.

Arguments: JSON with port, link, client, server, authentication, password, write (hex).
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSClient, GXReplyData
from gurux_dlms.enums import Authentication, DataType, InterfaceType
from gurux_dlms.objects import GXDLMSData, GXDLMSDisconnectControl, GXDLMSRegister

LEVELS = {"none": Authentication.NONE, "lls": Authentication.LOW}


class Peer:
    def __init__(self, options: dict[str, Any]) -> None:
        hdlc = options["link"] == "hdlc"
        self.socket = socket.create_connection(("127.0.0.1", options["port"]), timeout=5)
        self.client = GXDLMSClient(
            False,
            options["client"],
            GXDLMSClient.getServerAddress(1, options["server"]) if hdlc else 1,
            LEVELS[options["authentication"]],
            options.get("password"),
            InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER,
        )

    def send(self, octets: Any) -> GXReplyData:
        reply = GXReplyData()
        arrived = GXByteBuffer()
        self.socket.sendall(bytes(octets))
        while not self.client.getData(arrived, reply):
            arrived.set(self.socket.recv(4096))
        if reply.error:
            raise SystemExit(f"refused: {reply.error}")
        while reply.isMoreData():
            self.socket.sendall(bytes(self.client.receiverReady(reply)))
            while not self.client.getData(arrived, reply):
                arrived.set(self.socket.recv(4096))
        return reply

    def send_all(self, messages: Any) -> GXReplyData:
        reply = GXReplyData()
        for message in messages:
            reply = self.send(message)
        return reply

    def associate(self) -> None:
        snrm = self.client.snrmRequest()
        if snrm:
            self.client.parseUAResponse(self.send(snrm).data)
        self.client.parseAareResponse(self.send_all(self.client.aarqRequest()).data)

    def objects(self) -> dict[str, Any]:
        reply = self.send_all([self.client.getObjectsRequest()])
        found = self.client.parseObjects(reply.data, True)
        return {f"{int(each.objectType)}:{each.logicalName}": each for each in found}

    def read(self, item: Any, attribute: int) -> Any:
        reply = self.send_all(self.client.read(item, attribute))
        value = reply.value
        return bytes(value).hex() if isinstance(value, bytes | bytearray) else value


def main() -> None:
    options = json.loads(sys.argv[1])
    peer = Peer(options)
    peer.associate()
    objects = peer.objects()
    energy, name, relay, long = (
        objects[each]
        for each in (
            "3:1.0.1.8.0.255",
            "1:0.0.42.0.0.255",
            "70:0.0.96.3.10.255",
            "1:0.0.96.50.0.255",
        )
    )
    assert isinstance(energy, GXDLMSRegister)
    assert isinstance(relay, GXDLMSDisconnectControl)
    assert isinstance(name, GXDLMSData)
    found = {
        "names": {each: int(item.shortName) for each, item in objects.items()},
        "energy": peer.read(energy, 2),
        "long": peer.read(long, 2),
    }
    if options.get("write"):
        name.value = bytes.fromhex(options["write"])
        name.setDataType(2, DataType.OCTET_STRING)
        peer.send_all(peer.client.write(name, 2))
        peer.send_all(peer.client.method(relay, 1, 0, DataType.INT8))
    disconnect = peer.client.disconnectRequest()
    if disconnect:
        peer.send(disconnect)
    json.dump(found, sys.stdout)


main()
