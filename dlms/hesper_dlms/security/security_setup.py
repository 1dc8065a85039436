"""What the methods of security setup (class 64) carry, made and read (Blue Book, 4.4.7).

    2  key_transfer                  array of structure {key_id, key_wrapped}
    3  key_agreement                 array of structure {key_id, key_data}, both ways
    4  generate_key_pair             key pair's use
    5  generate_certificate_request  key pair's use; returns PKCS #10
    6  import_certificate            X.509
    7  export_certificate            which; returns X.509
    8  remove_certificate            which

Key agreement is C(2e, 0s): each side sends an ephemeral key signed with its signing key, the client
being party U. Nothing here changes keys: the caller does, when everything was accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import IntEnum

from hesper_dlms import axdr
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, LocalError, SecurityError
from hesper_dlms.key_ids import KeyId
from hesper_dlms.security import key_agreement, key_wrap
from hesper_dlms.security.key_agreement import Parties
from hesper_dlms.security.key_pairs import PrivateKey, PublicKey
from hesper_dlms.security.settings import SecuritySettings


class CertificateEntity(IntEnum):
    """Whose certificate it is."""

    SERVER = 0
    CLIENT = 1
    CERTIFICATION_AUTHORITY = 2
    OTHER = 3


class CertificateType(IntEnum):
    """What a key pair, and its certificate, is for."""

    DIGITAL_SIGNATURE = 0
    KEY_AGREEMENT = 1
    TLS = 2
    OTHER = 3


def with_keys(settings: SecuritySettings, keys: Mapping[KeyId, bytes]) -> SecuritySettings:
    """Return the settings with these keys in place of the old; LocalError if of a wrong length."""
    return replace(
        settings,
        encryption_key=keys.get(KeyId.GLOBAL_UNICAST_ENCRYPTION, settings.encryption_key),
        broadcast_key=keys.get(KeyId.GLOBAL_BROADCAST_ENCRYPTION, settings.broadcast_key),
        authentication_key=keys.get(KeyId.AUTHENTICATION, settings.authentication_key),
        master_key=keys.get(KeyId.MASTER, settings.master_key),
    )


def key_transfer(master_key: bytes, keys: Mapping[KeyId, bytes]) -> Data:
    """Return the parameter of key_transfer for new keys, wrapped with the master key."""
    wrapped = {key_id: key_wrap.wrap(master_key, key) for key_id, key in keys.items()}
    return _keyed(wrapped)


def read_key_transfer(settings: SecuritySettings, parameter: Data) -> dict[KeyId, bytes]:
    """Return the new keys in the parameter of key_transfer.

    Raises:
        SecurityError: Altered, not wrapped with our master key, or of a wrong length.
        DecodeError: Not of that form.
    """
    if settings.master_key is None:
        raise SecurityError("there is no master key")
    keys = {}
    for key_id, wrapped in _read_keyed(parameter).items():
        keys[key_id] = key_wrap.unwrap(settings.master_key, wrapped)
        if len(keys[key_id]) != len(settings.encryption_key):
            raise SecurityError("a transferred key is not as long as the suite's keys")
    return keys


class Agreement:
    """A client's part in key_agreement: `parameter` goes out, `finish` takes what comes back."""

    def __init__(self, settings: SecuritySettings, key_ids: Iterable[KeyId]) -> None:
        if settings.signing_key is None:
            raise LocalError("key agreement needs our signing key")
        signing_key = settings.signing_key
        self._settings = settings
        self._ephemeral = {KeyId(key_id): PrivateKey.generate(settings.suite) for key_id in key_ids}
        self.parameter = _keyed(
            {
                key_id: key_agreement.sign_ephemeral(signing_key, key_id, ephemeral.public)
                for key_id, ephemeral in self._ephemeral.items()
            }
        )

    def finish(self, returned: Data, parties: Parties) -> dict[KeyId, bytes]:
        """Return the new keys.

        Args:
            returned: What the meter's key_agreement returned.
            parties: The client's system title as u, the meter's as v.

        Raises:
            SecurityError: The meter did not sign its keys, or answered for others.
            DecodeError: Not of that form.
        """
        theirs = _checked(self._settings, _read_keyed(returned))
        if theirs.keys() != self._ephemeral.keys():
            raise SecurityError("the meter agreed on other keys than it was asked for")
        return {
            key_id: _agreed(key_id, ephemeral, theirs[key_id], parties)
            for key_id, ephemeral in self._ephemeral.items()
        }


def accept_agreement(
    settings: SecuritySettings, parameter: Data, parties: Parties
) -> tuple[Data, dict[KeyId, bytes]]:
    """Return a meter's answer to key_agreement, and the new keys.

    Args:
        settings: The meter's: its signing key and the client's.
        parameter: What the client sent.
        parties: The client's system title as u, the meter's as v.
    """
    ours = Agreement(settings, _read_keyed(parameter))
    return ours.parameter, ours.finish(parameter, parties)


def _checked(settings: SecuritySettings, keyed: Mapping[KeyId, bytes]) -> dict[KeyId, PublicKey]:
    signer = settings.peer.signing
    if signer is None:
        raise SecurityError("the peer's signing key is not known")
    return {
        key_id: key_agreement.check_ephemeral(signer, key_id, key_data)
        for key_id, key_data in keyed.items()
    }


def _agreed(key_id: KeyId, ours: PrivateKey, theirs: PublicKey, parties: Parties) -> bytes:
    suite = ours.suite
    master = key_id is KeyId.MASTER
    algorithm = (
        key_agreement.wrapping_algorithm(suite)
        if master
        else key_agreement.ciphering_algorithm(suite)
    )
    return key_agreement.derive(suite, ours.agree(theirs), algorithm, parties.u, parties.v)


def certificate_of(entity: CertificateEntity, use: CertificateType, system_title: bytes) -> Data:
    """Return the parameter of export_certificate and remove_certificate, by owner and use."""
    options = axdr.structure(axdr.enum(entity), axdr.enum(use), axdr.octet_string(system_title))
    return axdr.structure(axdr.enum(0), options)


def certificate_by_serial(serial_number: bytes, issuer: bytes) -> Data:
    """Return the same by serial number and issuer."""
    options = axdr.structure(axdr.octet_string(serial_number), axdr.octet_string(issuer))
    return axdr.structure(axdr.enum(1), options)


def _keyed(octets: Mapping[KeyId, bytes]) -> Data:
    return axdr.array(
        *(
            axdr.structure(axdr.enum(key_id), axdr.octet_string(each))
            for key_id, each in octets.items()
        )
    )


def _read_keyed(data: Data) -> dict[KeyId, bytes]:
    keyed: dict[KeyId, bytes] = {}
    for item in data.as_items():
        fields = item.as_items()
        if len(fields) != 2:
            raise DecodeError("a key comes as its id and its octets")
        try:
            key_id = KeyId(fields[0].as_int())
        except ValueError:
            raise DecodeError(f"there is no key {fields[0].as_int()}") from None
        if key_id in keyed:
            raise DecodeError(f"key {key_id} comes twice")
        keyed[key_id] = fields[1].as_octets()
    return keyed
