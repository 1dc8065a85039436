"""A gurux_dlms client in a process of its own (GPL-2.0-only): reads a meter and prints JSON.

Argument: JSON with port, link, client, server, authentication, password, keys and titles (hex).
The other gurux programs of this folder begin with its `Peer`.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.ecdsa import GXPrivateKey, GXPublicKey
from gurux_dlms.enums import Authentication, DataType, InterfaceType, Security
from gurux_dlms.objects import GXDLMSData, GXDLMSDisconnectControl, GXDLMSRegister
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

LEVELS = {
    "none": Authentication.NONE,
    "lls": Authentication.LOW,
    "md5": Authentication.HIGH_MD5,
    "sha1": Authentication.HIGH_SHA1,
    "gmac": Authentication.HIGH_GMAC,
    "sha256": Authentication.HIGH_SHA256,
    "ecdsa": Authentication.HIGH_ECDSA,
}


class Peer:
    """A client on a connection of its own, by logical or by short names."""

    def __init__(self, options: dict[str, Any], logical_names: bool = True) -> None:
        hdlc = options["link"] == "hdlc"
        self.socket = socket.create_connection(("127.0.0.1", options["port"]), timeout=60)
        self.client = GXDLMSSecureClient(
            logical_names,
            options["client"],
            GXDLMSSecureClient.getServerAddress(1, options["server"]) if hdlc else 1,
            LEVELS[options["authentication"]],
            options.get("password"),
            InterfaceType.HDLC if hdlc else InterfaceType.WRAPPER,
        )
        if "suite" in options:
            self.client.ciphering.securitySuite = SecuritySuite(options["suite"])
        if options["authentication"] in ("sha256", "ecdsa"):
            self.client.ciphering.systemTitle = bytes.fromhex(options["system_title"])
        if options["authentication"] == "ecdsa":
            meter = GXPublicKey.fromRawBytes(bytes.fromhex(options["meter_signing_key"]))
            ours = GXPrivateKey.fromRawBytes(bytes.fromhex(options["signing_key"]))
            self.client.ciphering.signingKeyPair = (meter, ours)
            if options.get("challenge"):
                self.client.ctoSChallenge = bytes.fromhex(options["challenge"])
        if options["authentication"] == "gmac":
            ciphering = self.client.ciphering
            ciphering.security = Security.AUTHENTICATION_ENCRYPTION
            ciphering.systemTitle = bytes.fromhex(options["system_title"])
            ciphering.blockCipherKey = bytes.fromhex(options["encryption_key"])
            ciphering.authenticationKey = bytes.fromhex(options["authentication_key"])
            ciphering.invocationCounter = options.get("counter", 10)
        self.client.maxReceivePDUSize = options.get("max_pdu", 0xFFFF)

    def send(self, octets: Any) -> GXReplyData:
        reply = self.answer(octets)
        if reply.error:
            raise SystemExit(f"refused: {reply.error}")
        return reply

    def answer(self, octets: Any) -> GXReplyData:
        """Send one message; return the whole reply, a refusal as well."""
        reply = GXReplyData()
        arrived = GXByteBuffer()
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

    def objects(self) -> Any:
        """Return the objects that the association view names."""
        reply = self.send(self.client.getObjectsRequest())
        return self.client.parseObjects(reply.data, True)

    def read(self, item: Any, attribute: int) -> Any:
        reply = self.send_all(self.client.read(item, attribute))
        value = reply.value
        return bytes(value).hex() if isinstance(value, bytes | bytearray) else value

    def disconnect(self) -> None:
        message = self.client.disconnectRequest()
        if message:
            self.send(message)


def main() -> None:
    options = json.loads(sys.argv[1])
    peer = Peer(options)
    peer.associate()
    found = {
        "energy": peer.read(GXDLMSRegister("1.0.1.8.0.255"), 2),
        "long": peer.read(GXDLMSData("0.0.96.50.0.255"), 2),
    }
    if options.get("write"):
        name = GXDLMSData("0.0.42.0.0.255")
        name.value = bytes.fromhex(options["write"])
        name.setDataType(2, DataType.OCTET_STRING)
        peer.send_all(peer.client.write(name, 2))
        relay = GXDLMSDisconnectControl("0.0.96.3.10.255")
        peer.send_all(peer.client.method(relay, 1, 0, DataType.INT8))
    release = peer.client.releaseRequest()
    if release:
        peer.send_all(release)
    peer.disconnect()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
