"""The key of one general-ciphering APDU: given by its key-info (Green Book, 9.2.3.4.6, 9.2.7.2).

identified-key   a global key by its number; client and server alone have it
wrapped-key      a new random key, wrapped with the master key
agreed-key       derived by both sides, C(1e, 1s) or C(0e, 2s)
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, NamedTuple

from hesper_dlms.apdu.general_ciphering import (
    GLOBAL_BROADCAST_KEY,
    GLOBAL_UNICAST_KEY,
    MASTER_KEY,
    ONE_PASS,
    STATIC_UNIFIED,
    AgreedKey,
    GeneralCiphering,
    GeneralHeader,
    IdentifiedKey,
    KeyInfo,
    WrappedKey,
)
from hesper_dlms.errors import LocalError, SecurityError
from hesper_dlms.security import gcm, key_agreement, key_wrap
from hesper_dlms.security.key_agreement import Parties
from hesper_dlms.security.key_pairs import PublicKey
from hesper_dlms.security.protection import KeyEstablishment, Protection
from hesper_dlms.security.settings import SecuritySettings

if TYPE_CHECKING:
    from hesper_dlms.security.context import SecurityContext


class MessageKey(NamedTuple):
    """A key for one APDU.

    key_info: How the other side gets it.
    lasting: Fingerprint of the key behind it where it lives for this APDU alone; None for a global
        key, whose invocation counters are kept.
    """

    key: gcm.GcmKey
    key_info: KeyInfo | None
    lasting: bytes | None
    establishment: KeyEstablishment


def fingerprint(key: PublicKey) -> bytes:
    """Return what stands for a public key among the received numbers."""
    return hashlib.sha256(key.octets).digest()[:8]


def offer(context: SecurityContext, header: GeneralHeader, protection: Protection) -> MessageKey:
    """Return a key for an APDU of ours; LocalError when what it takes is missing."""
    settings, how = context.settings, protection.key
    if how is KeyEstablishment.IDENTIFIED:
        return _global(context, GLOBAL_BROADCAST_KEY if protection.broadcast else 0)
    if how is KeyEstablishment.WRAPPED:
        return _offer_wrapped(settings)
    parties = Parties(header.originator, header.recipient)
    ours, theirs = settings.agreement_key, settings.peer.agreement
    if theirs is None:
        raise LocalError("the peer's key agreement key is not known")
    info: KeyInfo
    if how is KeyEstablishment.ONE_PASS:
        if settings.signing_key is None:
            raise LocalError("a one-pass key agreement needs our signing key")
        key, data = key_agreement.offer_one_pass(settings.signing_key, theirs, parties)
        info = AgreedKey(ONE_PASS, data)
    else:
        if ours is None:
            raise LocalError("a static key agreement needs our key agreement key")
        key = key_agreement.static_key(ours, theirs, header.transaction_id, parties)
        info = AgreedKey(STATIC_UNIFIED, b"")
    return MessageKey(gcm.GcmKey(key), info, fingerprint(theirs), how)


def accept(context: SecurityContext, message: GeneralCiphering) -> MessageKey:
    """Return the key of a received APDU.

    Raises:
        SecurityError: We lack what it takes, or the key that came was altered or is not signed.
    """
    info = message.key_info
    if info is None:
        return _global(context, GLOBAL_UNICAST_KEY)
    if isinstance(info, IdentifiedKey):
        if info.key_id == GLOBAL_BROADCAST_KEY and context.settings.broadcast_key is None:
            raise SecurityError("a broadcast key was used that we do not have")
        if info.key_id not in (GLOBAL_UNICAST_KEY, GLOBAL_BROADCAST_KEY):
            raise SecurityError(f"key {info.key_id} is none that could be identified")
        return _global(context, info.key_id)
    if isinstance(info, WrappedKey):
        return _accept_wrapped(context.settings, info)
    return _accept_agreed(context.settings, message.header, info)


def _global(context: SecurityContext, key_id: int) -> MessageKey:
    settings = context.settings
    key = settings.broadcast_key if key_id == GLOBAL_BROADCAST_KEY else settings.encryption_key
    if key is None:
        raise LocalError("there is no broadcast key")
    info = IdentifiedKey(key_id)
    return MessageKey(context.ready(key), info, None, KeyEstablishment.IDENTIFIED)


def _offer_wrapped(settings: SecuritySettings) -> MessageKey:
    kek = settings.master_key
    if kek is None:
        raise LocalError("a wrapped key needs the master key")
    key = secrets.token_bytes(len(settings.encryption_key))
    info = WrappedKey(MASTER_KEY, key_wrap.wrap(kek, key))
    lasting = gcm.GcmKey(kek).fingerprint
    return MessageKey(gcm.GcmKey(key), info, lasting, KeyEstablishment.WRAPPED)


def _accept_wrapped(settings: SecuritySettings, info: WrappedKey) -> MessageKey:
    kek = settings.master_key
    if kek is None or info.kek_id != MASTER_KEY:
        raise SecurityError("a key was wrapped with a master key that we do not have")
    key = key_wrap.unwrap(kek, info.key_ciphered_data)
    if len(key) != len(settings.encryption_key):
        raise SecurityError("a wrapped key is not as long as the suite's keys")
    lasting = gcm.GcmKey(kek).fingerprint
    return MessageKey(gcm.GcmKey(key), info, lasting, KeyEstablishment.WRAPPED)


def _accept_agreed(
    settings: SecuritySettings, header: GeneralHeader, info: AgreedKey
) -> MessageKey:
    ours, peer = settings.agreement_key, settings.peer
    if ours is None:
        raise SecurityError("an agreed key was used, and we have no key agreement key")
    parties = Parties(header.originator, header.recipient)
    if info.key_parameters == ONE_PASS and peer.signing is not None:
        how, lasting = KeyEstablishment.ONE_PASS, peer.signing
        data = info.key_ciphered_data
        key = key_agreement.accept_one_pass(ours, peer.signing, data, parties)
    elif info.key_parameters == STATIC_UNIFIED and peer.agreement is not None:
        how, lasting = KeyEstablishment.STATIC, peer.agreement
        if info.key_ciphered_data or not header.transaction_id:
            raise SecurityError("a static key agreement takes a transaction-id and nothing else")
        key = key_agreement.static_key(ours, peer.agreement, header.transaction_id, parties)
    else:
        raise SecurityError(
            f"key agreement scheme {info.key_parameters.hex()} is not known, or not the peer's key"
        )
    return MessageKey(gcm.GcmKey(key), info, fingerprint(lasting), how)
