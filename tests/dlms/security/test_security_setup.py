"""Keys that change: transferred under the master key, or agreed on by both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.errors import DecodeError, LocalError, SecurityError
from hesper_dlms.key_ids import KeyId
from hesper_dlms.security import PeerKeys, PrivateKey, key_wrap
from hesper_dlms.security.key_agreement import Parties
from hesper_dlms.security.security_setup import (
    Agreement,
    CertificateEntity,
    CertificateType,
    accept_agreement,
    certificate_by_serial,
    certificate_of,
    key_transfer,
    read_key_transfer,
    with_keys,
)

PARTIES = Parties(b"CLIENT00", b"METER000")


@pytest.mark.parametrize("suite", [0, 1, 2])
def test_key_transfer(security: Any, suite: int) -> None:
    settings = security.Keys(suite).meter
    size = len(settings.encryption_key)
    keys = {key_id: bytes((key_id + 1,)) * size for key_id in KeyId}
    parameter = axdr.decode(axdr.encode(key_transfer(settings.master_key, keys)))
    assert parameter.tag is axdr.Tag.ARRAY
    assert [item.as_items()[0].tag for item in parameter.as_items()] == [axdr.Tag.ENUM] * 4
    assert read_key_transfer(settings, parameter) == keys
    changed = with_keys(settings, keys)
    assert (changed.encryption_key, changed.broadcast_key) == (b"\x01" * size, b"\x02" * size)
    assert (changed.authentication_key, changed.master_key) == (b"\x03" * size, b"\x04" * size)
    assert with_keys(settings, {}) == settings


def test_key_transfer_that_must_fail(security: Any) -> None:
    settings = security.Keys(0).meter
    new = {KeyId.AUTHENTICATION: bytes(range(16))}
    parameter = key_transfer(settings.master_key, new)
    for wrong in (replace(settings, master_key=bytes(16)), replace(settings, master_key=None)):
        with pytest.raises(SecurityError):
            read_key_transfer(wrong, parameter)
    item = parameter.as_items()[0]
    key = item.as_items()[1]
    longer = axdr.octet_string(key_wrap.wrap(settings.master_key, bytes(32)))
    altered = axdr.octet_string(bytes(24))
    for octets in (longer, altered):
        with pytest.raises(SecurityError):
            read_key_transfer(settings, axdr.array(axdr.structure(axdr.enum(2), octets)))
    for data in (
        axdr.null_data(),
        axdr.array(item, item),
        axdr.array(axdr.structure(axdr.enum(4), key)),
        axdr.array(axdr.structure(axdr.enum(2))),
        axdr.array(axdr.structure(key, key)),
        axdr.array(axdr.structure(axdr.enum(2), axdr.enum(2))),
    ):
        with pytest.raises(DecodeError):
            read_key_transfer(settings, data)
    with pytest.raises(LocalError):
        key_transfer(b"short", new)


def test_key_agreement(keys: Any) -> None:
    agreement = Agreement(keys.client, KeyId)
    sent = axdr.decode(axdr.encode(agreement.parameter))
    returned, of_meter = accept_agreement(keys.meter, sent, PARTIES)
    of_client = agreement.finish(axdr.decode(axdr.encode(returned)), PARTIES)
    assert of_client == of_meter
    assert set(of_client) == set(KeyId)
    assert len(set(of_client.values())) == len(KeyId)
    assert {len(key) for key in of_client.values()} == {len(keys.client.encryption_key)}
    with_keys(keys.client, of_client)
    assert agreement.finish(returned, Parties(*reversed(PARTIES))) != of_client


def test_key_agreement_that_must_fail(keys: Any) -> None:
    agreement = Agreement(keys.client, [KeyId.AUTHENTICATION])
    returned, _ = accept_agreement(keys.meter, agreement.parameter, PARTIES)
    stranger = PrivateKey.generate(keys.client.suite)
    forged = Agreement(replace(keys.meter, signing_key=stranger), [KeyId.AUTHENTICATION])
    with pytest.raises(SecurityError, match="signature"):
        agreement.finish(forged.parameter, PARTIES)
    with pytest.raises(SecurityError, match="signature"):
        accept_agreement(keys.meter, forged.parameter, PARTIES)
    with pytest.raises(SecurityError, match="not known"):
        accept_agreement(replace(keys.meter, peer=PeerKeys()), agreement.parameter, PARTIES)
    other = Agreement(keys.meter, [KeyId.MASTER])
    with pytest.raises(SecurityError, match="other keys"):
        agreement.finish(other.parameter, PARTIES)
    # The key's number is signed with it: an authentication key does not become a master key.
    octets = returned.as_items()[0].as_items()[1]
    moved = axdr.array(axdr.structure(axdr.enum(KeyId.MASTER), octets))
    with pytest.raises(SecurityError, match="signature"):
        Agreement(keys.client, [KeyId.MASTER]).finish(moved, PARTIES)
    with pytest.raises(LocalError):
        Agreement(replace(keys.client, signing_key=None), KeyId)


def test_which_certificate() -> None:
    named = certificate_of(CertificateEntity.SERVER, CertificateType.KEY_AGREEMENT, b"METER000")
    assert axdr.encode(named).hex() == "0202160002031600160109084d45544552303030"
    serial = certificate_by_serial(b"\x01", b"CN=Root")
    assert axdr.encode(serial).hex() == "0202160102020901010907434e3d526f6f74"
