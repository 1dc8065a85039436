"""A gurux_dlms client in a process of its own (GPL-2.0-only): reads all objects of a meter.

Argument: JSON with port, link, client, server, authentication, password, keys and titles (hex).
Prints JSON: how many objects the association view names, what was read, what could not be.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient

LEVELS = {
    "none": Authentication.NONE,
    "lls": Authentication.LOW,
    "gmac": Authentication.HIGH_GMAC,
}


class Reader:
    def __init__(self, options: dict[str, Any]) -> None:
        hdlc = options["link"] == "hdlc"
        self.socket = socket.create_connection(("127.0.0.1", options["port"]), timeout=5)
        server = GXDLMSSecureClient.getServerAddress(1, options["server"]) if hdlc else 1
        self.client = GXDLMSSecureClient(
            True,
            options["client"],
            server,
            LEVELS[options["authentication"]],
            options.get("password"),
            InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER,
        )
        if options["authentication"] == "gmac":
            ciphering = self.client.ciphering
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            ciphering.systemTitle = bytes.fromhex(options["system_title"])
            ciphering.blockCipherKey = bytes.fromhex(options["encryption_key"])
            ciphering.authenticationKey = bytes.fromhex(options["authentication_key"])
            ciphering.invocationCounter = options["counter"]

    def send(self, octets: Any) -> GXReplyData:
        reply, arrived = GXReplyData(), GXByteBuffer()
        self.socket.sendall(bytes(octets))
        while not self.client.getData(arrived, reply):
            arrived.set(self.socket.recv(4096))
        while not reply.error and reply.isMoreData():
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
        if self.client.isAuthenticationRequired:
            reply = self.send_all(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(reply.data)

    def read_all(self) -> dict[str, Any]:
        reply = self.send(self.client.getObjectsRequest())
        objects = self.client.parseObjects(reply.data, True)
        read, failed = [], []
        for each in objects:
            # A profile's capture objects before its buffer.
            for attribute in sorted(each.getAttributeIndexToRead(True), key=lambda a: (a == 2, a)):
                name = f"{int(each.objectType)}:{each.logicalName}:{attribute}"
                try:
                    reply = self.send_all(self.client.read(each, attribute))
                    if reply.error:
                        failed.append([name, f"refused {reply.error}"])
                        continue
                    self.client.updateValue(each, attribute, reply.value)
                    read.append(name)
                except Exception as error:  # noqa: BLE001 - whatever gurux raises is the finding
                    failed.append([name, repr(error)])
        return {"objects": len(objects), "read": read, "failed": failed}


def main() -> None:
    reader = Reader(json.loads(sys.argv[1]))
    reader.associate()
    json.dump(reader.read_all(), sys.stdout)


if __name__ == "__main__":
    main()
