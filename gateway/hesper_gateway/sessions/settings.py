"""From template, keys and addresses to what the DLMS client needs."""

import hashlib
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Literal

from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.security import SecuritySettings

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import ConfigError
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.templates.model import AssociationTemplate, MeterTemplate

Role = Literal["public", "reading", "management"]
SECURITY_SUITE = 0
SUITE_0_KEY_OCTETS = 16

_AUTHENTICATION = {
    "none": Authentication.NONE,
    "low": Authentication.LOW,
    "high-gmac": Authentication.HIGH_GMAC,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one meter's associations are protected with.

    ``received_counters`` outlives the associations, so that old answers cannot be replayed.
    """

    keys: MeterKeys
    client_system_title: bytes
    invocation_counter: Callable[[], int] | None
    received_counters: MutableMapping[bytes, int]


def client_system_title(gateway: str) -> bytes:
    """Return the eight octets by which meters know this gateway, made from its name."""
    return b"HSG" + hashlib.sha256(gateway.encode()).digest()[:5]


def key_name(keys: MeterKeys) -> str:
    """Return the name under which the encryption key's invocation counter is kept.

    It changes with the key, because every key begins a count of its own.
    """
    key = keys.encryption_key or b""
    return f"global-unicast-{hashlib.sha256(b'hesper key name' + key).hexdigest()[:8]}"


def association_of(template: MeterTemplate, role: Role) -> AssociationTemplate:
    """Return the template's association for a role.

    Raises:
        ConfigError: the template is one of a meter that only pushes.
    """
    if template.associations is None:
        raise ConfigError(f"template {template.name}: meters of this kind cannot be read")
    found: AssociationTemplate = getattr(template.associations, role)
    return found


def client_for(
    meter: MeterConfig, template: MeterTemplate, role: Role, credentials: Credentials
) -> Client:
    """Return a client for one association with the meter.

    Raises:
        ConfigError: a key or password that the role needs is not configured.
    """
    wanted = association_of(template, role)
    settings = AssociationSettings(
        client_address=wanted.client_address,
        server_address=meter.server_address,
        authentication=_AUTHENTICATION[wanted.authentication],
        password=_password(meter, wanted, credentials.keys),
        system_title=credentials.client_system_title,
        security=_security(meter, wanted, credentials.keys),
        ciphered=wanted.ciphered,
        invocation_counter=credentials.invocation_counter,
        received_counters=credentials.received_counters,
        meter_system_title=bytes.fromhex(meter.system_title) if meter.system_title else None,
        max_pdu=template.limits.max_pdu,
        with_list_limit=template.limits.with_list_max,
    )
    link = template.link
    if link.kind == "hdlc":
        return Client(
            settings.over_hdlc(meter.physical_address, link.address_octets, link.max_information),
            settings,
        )
    return Client(settings.over_wrapper(), settings)


def _password(meter: MeterConfig, wanted: AssociationTemplate, keys: MeterKeys) -> bytes | None:
    if wanted.authentication == "low" and keys.password is None:
        raise ConfigError(f"meter {meter.id}: its keys_file must hold a password")
    return keys.password


def _security(
    meter: MeterConfig, wanted: AssociationTemplate, keys: MeterKeys
) -> SecuritySettings | None:
    if not wanted.ciphered and wanted.authentication != "high-gmac":
        return None
    if keys.encryption_key is None:
        raise ConfigError(f"meter {meter.id}: its keys_file must hold an encryption_key")
    return _suite_0(meter, keys, keys.encryption_key)


def push_security(meter: MeterConfig, keys: MeterKeys) -> SecuritySettings | None:
    """Return what the pushes of a meter are protected with; None for one that has no key.

    Raises:
        ConfigError: there is an encryption key and nothing is said of the authentication key.
    """
    if keys.encryption_key is None:
        return None
    return replace(_suite_0(meter, keys, keys.encryption_key), any_suite=True)


def _suite_0(meter: MeterConfig, keys: MeterKeys, encryption_key: bytes) -> SecuritySettings:
    unknown = meter.authentication_key_unknown
    if (keys.authentication_key is None) != unknown:
        raise ConfigError(
            f"meter {meter.id}: its keys_file must hold an authentication_key, "
            "or else authentication_key_unknown must be true"
        )
    if len(encryption_key) != SUITE_0_KEY_OCTETS:
        raise ConfigError(f"meter {meter.id}: security suite 0 takes keys of 16 octets")
    return SecuritySettings(
        suite=SECURITY_SUITE,
        encryption_key=encryption_key,
        authentication_key=keys.authentication_key,
        authentication_key_unknown=unknown,
    )
