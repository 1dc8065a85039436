"""One association by gurux_dlms: requests become APDUs, replies become values.

It sees no link and no line: gurux's PDU interface is used, so every message is one whole APDU. Its
invocation counter is set before each request to the one that the message names.
"""

from typing import Any

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, Conformance, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient

from hesper_gateway.engines.pipe import Message

_MECHANISMS = {
    "none": Authentication.NONE,
    "low": Authentication.LOW,
    "high-md5": Authentication.HIGH_MD5,
    "high-sha1": Authentication.HIGH_SHA1,
    "high-gmac": Authentication.HIGH_GMAC,
    "high-sha256": Authentication.HIGH_SHA256,
}

_NOT_WANTED = Conformance.GENERAL_PROTECTION | Conformance.GENERAL_BLOCK_TRANSFER
"""With the first it sends general-glo-ciphering; its blocks of the second hang on two frames."""


class Session:
    """A gurux client with the settings of one association."""

    def __init__(self, terms: Message) -> None:
        password = terms["password"]
        self._client = GXDLMSSecureClient(
            True,
            terms["client_address"],
            terms["server_address"],
            _MECHANISMS[terms["authentication"]],
            None if password is None else bytes.fromhex(password),
            InterfaceType.PDU,
        )
        self._client.maxReceivePDUSize = terms["max_pdu"]
        self._client.proposedConformance &= ~_NOT_WANTED
        self._reply = GXReplyData()
        self._protect(terms)
        if terms["challenge"]:
            self._client.ctoSChallenge = bytes.fromhex(terms["challenge"])

    def _protect(self, terms: Message) -> None:
        ciphering = self._client.ciphering
        if terms["system_title"] is not None:
            ciphering.systemTitle = bytes.fromhex(terms["system_title"])
        if terms["encryption_key"] is not None:
            ciphering.blockCipherKey = bytes.fromhex(terms["encryption_key"])
            ciphering.authenticationKey = bytes.fromhex(terms["authentication_key"])
        ciphering.security = Security(terms["policy"])

    def aarq(self, asked: Message) -> Message:
        """Return the AARQ."""
        self._count(asked)
        return _one(self._client.aarqRequest())

    def aare(self, asked: Message) -> Message:
        """Take the AARE."""
        self._client.parseAareResponse(self._taken(asked).data)
        return {"done": True}

    def prove(self, asked: Message) -> Message:
        """Return reply_to_HLS with f(StoC)."""
        self._count(asked)
        return _one(self._client.getApplicationAssociationRequest())

    def proven(self, asked: Message) -> Message:
        """Take the meter's f(CtoS)."""
        self._client.parseApplicationAssociationResponse(self._taken(asked).data)
        return {"done": True}

    def get(self, asked: Message) -> Message:
        """Return the GET of an attribute."""
        self._count(asked)
        self._reply = GXReplyData()
        selection = bytes.fromhex(asked["selection"])
        name = ".".join(str(octet) for octet in bytes.fromhex(asked["logical_name"]))
        read = self._client._read  # noqa: SLF001 - the public form wants an object of its own kinds
        data = GXByteBuffer(selection) if selection else None
        return _one(read(name, asked["class_id"], asked["attribute_id"], data))

    def answer(self, asked: Message) -> Message:
        """Take what the meter answered; return the value, a refusal, or that there is more."""
        self._client.getData(GXByteBuffer(bytes.fromhex(asked["apdu"])), self._reply)
        reply = self._reply
        if reply.error:
            return {"refused": int(reply.error)}
        if reply.isMoreData():
            return {"more": True}
        return {"value": bytes(reply.data.array()).hex()}

    def next(self, asked: Message) -> Message:
        """Return the request for the next block."""
        self._count(asked)
        return _one([self._client.receiverReady(self._reply)])

    def _count(self, asked: Message) -> None:
        if asked["counter"] is not None:
            self._client.ciphering.invocationCounter = asked["counter"]

    def _taken(self, asked: Message) -> Any:
        reply = GXReplyData()
        self._client.getData(GXByteBuffer(bytes.fromhex(asked["apdu"])), reply)
        if reply.error:
            raise ValueError(f"the meter refused: {reply.error}")
        return reply


def _one(messages: Any) -> Message:
    if len(messages) != 1:
        raise ValueError(f"a request of {len(messages)} APDUs")
    return {"apdu": bytes(messages[0]).hex()}
