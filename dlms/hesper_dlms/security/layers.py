"""General-ciphering and general-signing (Green Book, 9.2.7.2 and 9.2.7.3, layers of protection).

Outgoing, an APDU is signed, ciphered, or both in either order; `Protection` says how. Received, the
layers come off one by one: at most one signature and one ciphering, by the peer and for us. Then
the policy of the settings must be met by what was found, as for every other form.

A key that lives for one APDU makes an invocation counter worthless against replay, and a signature
alone has none. There the transaction-id takes its place: it is the one of our last request, or a
number higher than every one before from this title with this key. Ours are a counter and behind it
something random: counters begin anew with a new global key, while the keys of a key pair or of the
master key, and so what is derived of a transaction-id, stay what they are.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from hesper_dlms.apdu.ciphered import DED_TAGS, GENERAL_DED, GENERAL_GLO, GLO_TAGS, TAGS, Ciphered
from hesper_dlms.apdu.general_ciphering import GENERAL_CIPHERING, GeneralCiphering, GeneralHeader
from hesper_dlms.apdu.general_signing import GENERAL_SIGNING, GeneralSigning
from hesper_dlms.apdu.initiate import INITIATE_REQUEST, INITIATE_RESPONSE
from hesper_dlms.errors import LocalError, SecurityError
from hesper_dlms.security import gcm, message_keys
from hesper_dlms.security.context import Opened, SecurityContext
from hesper_dlms.security.protection import Form, Protection, Signature
from hesper_dlms.security.received import TRANSACTION_NAMES
from hesper_dlms.security.sealing import Way, open_by, seal_by
from hesper_dlms.security.settings import AUTHENTICATED, BROADCAST_KEY

_MOST_LAYERS = 2
_ORDERED_OCTETS = 8
_RANDOM_OCTETS = 4
_UNAMBIGUOUS = 0xC0
"""Contents that begin with less could be taken for a length; see `apdu.general_signing`."""
_ANYONE = bytes(gcm.SYSTEM_TITLE_OCTETS)
"""Our title where we only listen: then every recipient will do."""


class _Found:
    """What the layers of one received APDU have shown so far."""

    __slots__ = (
        "header",
        "lasting",
        "length_signed",
        "opened",
        "outer",
        "protection",
        "signer",
        "signer_title",
    )

    def __init__(self) -> None:
        self.opened: Opened | None = None
        self.protection = Protection()
        self.signer: bytes | None = None
        self.signer_title = b""
        self.length_signed = True
        self.outer = False
        self.header: GeneralHeader | None = None
        self.lasting: bytes | None = None


class Layers:
    """Protects and opens for one `SecurityContext`, which holds keys, counters and policy."""

    def __init__(self, context: SecurityContext) -> None:
        self._context = context
        self._awaited: bytes | None = None

    def protect(self, apdu: bytes, counter: int, protection: Protection) -> bytes:
        """Return `apdu` protected; LocalError when a key for it is missing."""
        if protection.dedicated and apdu[:1] in _INITIATE:
            protection = replace(protection, dedicated=False)  # it brings the dedicated key
        ours, theirs = self._context.system_title, self._context.peer_system_title
        transaction_id = protection.transaction_id or _new_transaction_id(counter)
        header = GeneralHeader(transaction_id, ours, theirs or b"")
        if protection.transaction_id is None:
            self._awaited = transaction_id
        if protection.signature is Signature.INSIDE or protection.form is Form.NONE:
            apdu = self._sign(apdu, header, protection)
        if protection.form is Form.GENERAL_CIPHERING:
            apdu = self._cipher(apdu, counter, header, protection)
        elif protection.form is not Form.NONE:
            apdu = self._cipher_simply(apdu, counter, protection)
        if protection.signature is Signature.OUTSIDE and protection.form is not Form.NONE:
            apdu = self._sign(apdu, header, protection)
        return apdu

    def _sign(self, content: bytes, header: GeneralHeader, protection: Protection) -> bytes:
        key = self._context.settings.signing_key
        if key is None:
            raise LocalError("a signing key is needed to sign")
        unsigned = GeneralSigning(header, content, b"")
        signed = unsigned.signed(content_length=protection.content_length_signed)
        return GeneralSigning(header, content, key.sign(signed)).to_octets()

    def _control(self, protection: Protection) -> int:
        settings = self._context.settings
        policy = settings.policy if protection.policy is None else protection.policy
        if not policy:
            raise LocalError("ciphering needs a security policy that asks for it")
        return policy | settings.suite

    def _cipher_simply(self, apdu: bytes, counter: int, protection: Protection) -> bytes:
        context, settings = self._context, self._context.settings
        control = self._control(protection)
        dedicated = protection.dedicated
        key = settings.dedicated_key if dedicated else settings.encryption_key
        if protection.broadcast:
            key, control = settings.broadcast_key, control | BROADCAST_KEY
        if key is None:
            raise LocalError("the dedicated or broadcast key is missing")
        octets = self._seal(Way(context.ready(key), control, self._head(control)), counter, apdu)
        tags = DED_TAGS if dedicated else GLO_TAGS
        if protection.form is Form.SERVICE_SPECIFIC and apdu and apdu[0] in tags:
            return Ciphered(tags[apdu[0]], control, counter, octets).to_octets()
        tag, title = GENERAL_DED if dedicated else GENERAL_GLO, context.system_title
        return Ciphered(tag, control, counter, octets, title).to_octets()

    def _cipher(
        self, apdu: bytes, counter: int, header: GeneralHeader, protection: Protection
    ) -> bytes:
        control = self._control(protection)
        key, key_info, _, _ = message_keys.offer(self._context, header, protection)
        head = self._head(control)
        way = Way(key, control, head + header.to_octets() if head else b"")
        octets = self._seal(way, counter, apdu)
        return GeneralCiphering(header, key_info, control, counter, octets).to_octets()

    def _head(self, control: int) -> bytes:
        return self._context.authenticated_head(control) if control & AUTHENTICATED else b""

    def _seal(self, way: Way, counter: int, apdu: bytes) -> bytes:
        # One series of counters serves every key; those that live for one APDU are not kept.
        context = self._context
        lasting = context.settings.broadcast_key, context.settings.dedicated_key
        kept = any(key is not None and context.ready(key) is way.key for key in lasting)
        context.spend(way.key if kept else context.ready(context.settings.encryption_key), counter)
        return seal_by(way, gcm.nonce(context.system_title, counter), apdu)

    def open(self, octets: bytes) -> Opened:
        """Take the layers off a received APDU; see `SecurityContext.open`."""
        return self._peel(octets, _Found())

    def open_inside(self, opened: Opened, ciphered: Ciphered) -> Opened:
        """Take off what is inside an APDU that was deciphered already."""
        found = _Found()
        found.opened, found.protection = opened, _form_of(ciphered)
        return self._peel(opened.apdu, found)

    def _peel(self, octets: bytes, found: _Found) -> Opened:
        while octets and (octets[0] in _LAYERS or octets[0] in TAGS):
            if octets[0] == GENERAL_SIGNING:
                octets = self._check_signature(GeneralSigning.from_octets(octets), found)
                continue
            if found.opened is not None:
                raise SecurityError("an APDU is ciphered twice")
            if octets[0] == GENERAL_CIPHERING:
                found.opened = self._decipher(GeneralCiphering.from_octets(octets), found)
            else:
                ciphered = Ciphered.from_octets(octets)
                found.opened = self._context.decipher(ciphered)
                found.protection = _form_of(ciphered)
            octets = found.opened.apdu
        return self._judge(octets, found)

    def _judge(self, apdu: bytes, found: _Found) -> Opened:
        """Return the plain APDU if what protected it meets the policy and is fresh."""
        settings, signed = self._context.settings, found.signer is not None
        if not apdu:
            raise SecurityError("there is no APDU inside")
        if settings.signed and not signed:
            raise SecurityError("an APDU without the signature that was agreed (downgrade)")
        if found.opened is None and (settings.policy or not signed):
            raise SecurityError("an APDU without the ciphering that was agreed (downgrade)")
        if found.opened is not None and signed and found.signer_title != found.opened.system_title:
            raise SecurityError("an APDU was signed by one and ciphered by another")
        lasting = found.signer if found.opened is None else found.lasting
        if lasting is not None and found.header is not None:
            self._check_transaction(found.header, lasting)
        protection = _answering(found)
        if found.opened is not None:
            return found.opened._replace(apdu=apdu, signed=signed, protection=protection)
        title = found.header.originator if found.header else b""
        return Opened(apdu, True, 0, 0, title, signed, protection)

    def _check_parties(self, header: GeneralHeader) -> None:
        if not header.originator:
            raise SecurityError("the sender's system title is not known")
        self._context.sender(header.originator)
        ours = self._context.system_title
        if header.recipient not in (b"", ours) and ours != _ANYONE:
            raise SecurityError(f"an APDU for system title {header.recipient.hex()}, not for us")

    def _check_signature(self, signing: GeneralSigning, found: _Found) -> bytes:
        if found.signer is not None:
            raise SecurityError("an APDU is signed twice")
        self._check_parties(signing.header)
        key = self._context.settings.peer.signing
        if key is None:
            raise SecurityError("an APDU is signed, and the peer's signing key is not known")
        try:
            key.verify(signing.signature, signing.signed())
        except SecurityError:
            if not signing.content or signing.content[0] < _UNAMBIGUOUS:
                raise
            key.verify(signing.signature, signing.signed(content_length=False))
            found.length_signed = False
        found.signer = message_keys.fingerprint(key)
        found.signer_title = signing.header.originator
        found.outer = found.opened is None
        found.header = found.header or signing.header
        return signing.content

    def _decipher(self, message: GeneralCiphering, found: _Found) -> Opened:
        context, control = self._context, message.security_control
        self._check_parties(message.header)
        if control & BROADCAST_KEY:
            raise SecurityError("the broadcast bit does not belong in general-ciphering")
        context.check_control(control)
        key, _, lasting, how = message_keys.accept(context, message)
        verifiable = control & AUTHENTICATED and not context.settings.authentication_key_unknown
        head = context.authenticated_head(control) if verifiable else b""
        way = Way(key, control, head + message.header.to_octets() if head else b"")
        title, counter = message.header.originator, message.invocation_counter
        apdu, verified = open_by(way, gcm.nonce(title, counter), message.octets)
        if lasting is None:
            context.received.take_counter(title, key, counter, verified)
        found.lasting, found.header = lasting, message.header
        found.protection = Protection(Form.GENERAL_CIPHERING, key=how)
        return Opened(apdu, verified, control, counter, title)

    def _check_transaction(self, header: GeneralHeader, lasting: bytes) -> None:
        transaction_id, awaited = header.transaction_id, self._awaited
        self._awaited = None
        if not 0 < len(transaction_id) <= _ORDERED_OCTETS:
            raise SecurityError("a transaction-id that cannot be told from a replayed one")
        name = TRANSACTION_NAMES + header.originator + lasting
        number = int.from_bytes(transaction_id, "big")
        if transaction_id == awaited:
            self._context.received.note(name, number)
        else:
            self._context.received.take(name, number)


_INITIATE = (bytes((INITIATE_REQUEST,)), bytes((INITIATE_RESPONSE,)))
_LAYERS = (GENERAL_SIGNING, GENERAL_CIPHERING)


def _new_transaction_id(counter: int) -> bytes:
    ordered = counter.to_bytes(_ORDERED_OCTETS - _RANDOM_OCTETS, "big")
    return ordered + secrets.token_bytes(_RANDOM_OCTETS)


def _form_of(ciphered: Ciphered) -> Protection:
    form = Form.SERVICE_SPECIFIC if ciphered.system_title is None else Form.GENERAL
    return Protection(form, dedicated=ciphered.dedicated)


def _answering(found: _Found) -> Protection:
    """Return how to answer in kind."""
    signature = Signature.NONE
    if found.signer is not None:
        signature = Signature.OUTSIDE if found.outer else Signature.INSIDE
    protection = found.protection
    if found.opened is None:
        return Protection(
            Form.NONE,
            signature=Signature.INSIDE,
            transaction_id=found.header.transaction_id if found.header else None,
            content_length_signed=found.length_signed,
        )
    return replace(
        protection,
        signature=signature,
        transaction_id=found.header.transaction_id if found.header else None,
        content_length_signed=found.length_signed,
    )
