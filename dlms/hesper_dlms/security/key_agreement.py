"""Keys that two sides derive (Green Book, 9.2.3.4.6; NIST SP 800-56A).

    scheme              party U gives         party V gives   used for
    C(2e, 0s)           an ephemeral key      another one     key_agreement of security setup
    C(1e, 1s) one-pass  an ephemeral key      its static key  general-ciphering
    C(0e, 2s) static    its static key        its static key  general-ciphering

Party U is who sends. Both compute Z by ECDH and the key by the concatenation KDF:

    key = leading octets of Hash(00000001 | Z | AlgorithmID | PartyUInfo | PartyVInfo)

PartyUInfo is U's system title, followed in C(0e, 2s) by the transaction-id with its length, which
is the only thing that differs from one APDU to the next; PartyVInfo is V's system title. Ephemeral
keys are signed with U's signing key, or anyone could put theirs in between.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import NamedTuple

from hesper_dlms.apdu.general_ciphering import octet_string
from hesper_dlms.errors import SecurityError
from hesper_dlms.security.key_pairs import PrivateKey, PublicKey, coordinate_octets

_ALGORITHM_ARC = bytes.fromhex("608574050803")
_FIRST_BLOCK = b"\x00\x00\x00\x01"
_KEY_OCTETS = {1: 16, 2: 32}


class Algorithm(IntEnum):
    """What a derived key is for; its object identifier is AlgorithmID (Green Book, table 18)."""

    AES_GCM_128 = 0
    AES_GCM_256 = 1
    AES_WRAP_128 = 2
    AES_WRAP_256 = 3

    @property
    def identifier(self) -> bytes:
        """The seven octets of AlgorithmID."""
        return _ALGORITHM_ARC + bytes((self,))


def ciphering_algorithm(suite: int) -> Algorithm:
    """Return the algorithm of a suite's encryption and authentication keys."""
    return Algorithm.AES_GCM_256 if suite == 2 else Algorithm.AES_GCM_128


def wrapping_algorithm(suite: int) -> Algorithm:
    """Return the algorithm of a suite's master key."""
    return Algorithm.AES_WRAP_256 if suite == 2 else Algorithm.AES_WRAP_128


class Parties(NamedTuple):
    """The system titles of the two sides: U sends, V receives."""

    u: bytes
    v: bytes


def derive(suite: int, z: bytes, algorithm: Algorithm, party_u: bytes, party_v: bytes) -> bytes:
    """Return the key that `z` and the two parties make (concatenation KDF)."""
    coordinate_octets(suite)
    digest = hashlib.sha256 if suite == 1 else hashlib.sha384
    other = algorithm.identifier + party_u + party_v
    return digest(_FIRST_BLOCK + z + other).digest()[: _KEY_OCTETS[suite]]


def offer_one_pass(
    signing_key: PrivateKey, recipient: PublicKey, parties: Parties
) -> tuple[bytes, bytes]:
    """Return a new key and the key-ciphered-data by which the recipient derives it, C(1e, 1s)."""
    ephemeral = PrivateKey.generate(recipient.suite)
    public = ephemeral.public.octets
    suite, z = recipient.suite, ephemeral.agree(recipient)
    key = derive(suite, z, ciphering_algorithm(suite), parties.u, parties.v)
    return key, public + signing_key.sign(public)


def accept_one_pass(
    agreement_key: PrivateKey, signer: PublicKey, key_ciphered_data: bytes, parties: Parties
) -> bytes:
    """Return the key of key-ciphered-data; SecurityError unless `signer` has signed it."""
    public = _signed_key(signer, key_ciphered_data, b"")
    suite, z = agreement_key.suite, agreement_key.agree(public)
    return derive(suite, z, ciphering_algorithm(suite), parties.u, parties.v)


def static_key(
    agreement_key: PrivateKey, peer: PublicKey, transaction_id: bytes, parties: Parties
) -> bytes:
    """Return the key of one transaction, C(0e, 2s); the same for both sides."""
    suite, z = agreement_key.suite, agreement_key.agree(peer)
    party_u = parties.u + octet_string(transaction_id)
    return derive(suite, z, ciphering_algorithm(suite), party_u, parties.v)


def sign_ephemeral(signing_key: PrivateKey, key_id: int, public: PublicKey) -> bytes:
    """Return key_data of the key_agreement method: an ephemeral key, signed with the key's id."""
    return public.octets + signing_key.sign(bytes((key_id,)) + public.octets)


def check_ephemeral(signer: PublicKey, key_id: int, key_data: bytes) -> PublicKey:
    """Return the ephemeral key in key_data; SecurityError unless `signer` has signed it."""
    return _signed_key(signer, key_data, bytes((key_id,)))


def _signed_key(signer: PublicKey, octets: bytes, before: bytes) -> PublicKey:
    size = 2 * coordinate_octets(signer.suite)
    if len(octets) != 2 * size:
        raise SecurityError("an ephemeral key without its signature")
    signer.verify(octets[size:], before + octets[:size])
    return PublicKey(signer.suite, octets[:size])
