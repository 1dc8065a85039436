"""From template, keys and addresses to what the DLMS client needs."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from hesper_dlms import obis
from hesper_dlms.apdu import LOGICAL_NAME_SERVICES, Conformance
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import LocalError
from hesper_dlms.exchange import ClientLink
from hesper_dlms.security import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTION,
    ENCRYPTED,
    SecuritySettings,
)
from hesper_dlms.security.key_pairs import PeerKeys, PrivateKey, PublicKey
from hesper_dlms.short_names import BaseNames

from hesper_gateway.config import (
    CsdLine,
    LineConfig,
    MeterConfig,
    ScheduleConfig,
    SerialLine,
)
from hesper_gateway.errors import ConfigError
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.templates.addresses import address_of
from hesper_gateway.templates.model import AssociationTemplate, MeterTemplate

Role = Literal["public", "reading", "management"]
PUSH_SUITE = 0
_KEY_OCTETS = {0: 16, 1: 16, 2: 32}

AUTHENTICATION = {
    "none": Authentication.NONE,
    "low": Authentication.LOW,
    "high-md5": Authentication.HIGH_MD5,
    "high-sha1": Authentication.HIGH_SHA1,
    "high-gmac": Authentication.HIGH_GMAC,
    "high-sha256": Authentication.HIGH_SHA256,
    "high-ecdsa": Authentication.HIGH_ECDSA,
}
_WITH_PASSWORD = ("low", "high-md5", "high-sha1", "high-sha256")
_POLICIES = {
    "authenticated-encrypted": AUTHENTICATED_ENCRYPTION,
    "authenticated": AUTHENTICATED,
    "encrypted": ENCRYPTED,
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


def unused(keys: MeterKeys, title: bytes) -> Credentials:
    """Return credentials by which an association can be looked at and never be opened."""
    return Credentials(keys, title, _no_counter, {})


def _no_counter() -> int:
    raise LocalError("this association is never opened")


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


def proves_keys(association: AssociationTemplate) -> bool:
    """Return whether only the meter's symmetric keys open an association."""
    return association.ciphered or association.authentication == "high-gmac"


def check_line(meter: MeterConfig, template: MeterTemplate, line: LineConfig) -> None:
    """Refuse a line, or an address on it, that cannot reach meters of this kind.

    Raises:
        ConfigError: the text says what to correct.
    """
    if isinstance(line, SerialLine) and template.link.kind == "wrapper":
        raise ConfigError(
            f"meter {meter.id}: template {template.name} is for TCP (link.kind = wrapper), "
            f"line {line.name} is serial"
        )
    if meter.physical_address is not None and template.link.kind == "wrapper":
        raise ConfigError(
            f"meter {meter.id}: physical_address is HDLC's, and template {template.name} is for "
            "the wrapper: take it out, give server_address in its place, or choose another template"
        )
    if isinstance(line, SerialLine | CsdLine) and template.link.mode_e and not line.mode_e:
        raise ConfigError(
            f"meter {meter.id}: meters of template {template.name} want a mode E sign-on; "
            f"set mode_e = true on line {line.name}"
        )


def check_roles(meter: MeterConfig, template: MeterTemplate, keys: MeterKeys) -> None:
    """Refuse keys and addresses with which an association can never be opened.

    Raises:
        ConfigError: no associations in the template, or a secret is missing.
    """
    never = unused(keys, client_system_title(""))
    for role in get_args(Role):
        client_for(meter, template, role, never)


def schedule_for(template: MeterTemplate, schedule: ScheduleConfig) -> ScheduleConfig:
    """Return a schedule with the template's intervals where gateway.toml gives none."""
    said = template.schedule.model_dump(exclude_none=True)
    return schedule.model_copy(
        update={key: each for key, each in said.items() if key not in schedule.model_fields_set}
    )


def client_for(
    meter: MeterConfig, template: MeterTemplate, role: Role, credentials: Credentials
) -> Client:
    """Return a client of our own stack for one association with the meter.

    Raises:
        ConfigError: a key or password that the role needs is not configured.
    """
    return Client(*link_for(meter, template, role, credentials))


def link_for(
    meter: MeterConfig, template: MeterTemplate, role: Role, credentials: Credentials
) -> tuple[ClientLink, AssociationSettings]:
    """Return the link to the meter and everything about one association over it.

    Raises:
        ConfigError: a key or password that the role needs is not configured.
    """
    wanted = association_of(template, role)
    try:
        settings = _association_settings(meter, template, wanted, credentials)
    except LocalError as error:
        raise ConfigError(f"meter {meter.id}: {error}") from error
    link = template.link
    if link.kind == "hdlc":
        physical = address_of(meter, template, "physical")
        return settings.over_hdlc(physical, link.address_octets, link.max_information), settings
    return settings.over_wrapper(), settings


def _association_settings(
    meter: MeterConfig,
    template: MeterTemplate,
    wanted: AssociationTemplate,
    credentials: Credentials,
) -> AssociationSettings:
    limits, names = template.limits, template.referencing
    return AssociationSettings(
        client_address=wanted.client_address,
        server_address=address_of(meter, template, "server") or 0,
        authentication=AUTHENTICATION[wanted.authentication],
        password=_password(meter, wanted, credentials.keys),
        system_title=credentials.client_system_title,
        security=_security(meter, template, wanted, credentials.keys),
        ciphered=wanted.ciphered,
        invocation_counter=credentials.invocation_counter,
        received_counters=credentials.received_counters,
        meter_system_title=bytes.fromhex(meter.system_title) if meter.system_title else None,
        max_pdu=limits.max_pdu,
        with_list_limit=limits.with_list_max,
        conformance=_conformance(template),
        block_window=limits.block_window,
        referencing=(
            Referencing.SHORT_NAME if names.names == "short-name" else Referencing.LOGICAL_NAME
        ),
        base_names=_base_names(names.base_names) if names.base_names else None,
        challenge_octets=wanted.challenge_octets,
    )


def _conformance(template: MeterTemplate) -> Conformance:
    general = Conformance.GENERAL_BLOCK_TRANSFER if template.limits.general_blocks else 0
    return LOGICAL_NAME_SERVICES | general


def _base_names(table: Mapping[str, int]) -> BaseNames:
    names: dict[tuple[int, bytes], int] = {}
    for name, base in table.items():
        class_id, _, logical_name = name.partition(":")
        names[int(class_id), obis.parse(logical_name)] = base
    return names


def _password(meter: MeterConfig, wanted: AssociationTemplate, keys: MeterKeys) -> bytes | None:
    if wanted.authentication in _WITH_PASSWORD and keys.password is None:
        raise ConfigError(f"meter {meter.id}: its keys_file must hold a password")
    return keys.password


def _security(
    meter: MeterConfig, template: MeterTemplate, wanted: AssociationTemplate, keys: MeterKeys
) -> SecuritySettings | None:
    """Return keys and policy; None where neither mechanism nor ciphering needs any."""
    signs = wanted.authentication == "high-ecdsa"
    counts = proves_keys(wanted)
    if not counts and not signs:
        return None
    said, octets = template.security, _KEY_OCTETS[template.security.suite]
    if not counts:  # HLS with ECDSA alone: there is nothing to cipher
        unused = secrets.token_bytes(octets)
        return _with_key_pairs(meter, keys, SecuritySettings(said.suite, unused, unused))
    if keys.encryption_key is None:
        raise ConfigError(f"meter {meter.id}: its keys_file must hold an encryption_key")
    settings = replace(
        _with_keys(meter, keys, keys.encryption_key, said.suite),
        policy=_POLICIES[said.policy],
        general=said.general,
        dedicated_key=secrets.token_bytes(octets) if said.dedicated_key else None,
    )
    return _with_key_pairs(meter, keys, settings) if signs else settings


def push_security(meter: MeterConfig, keys: MeterKeys) -> SecuritySettings | None:
    """Return what the pushes of a meter are protected with; None for one that has no key.

    Raises:
        ConfigError: there is an encryption key and nothing is said of the authentication key.
    """
    if keys.encryption_key is None:
        return None
    suite = 2 if len(keys.encryption_key) == _KEY_OCTETS[2] else PUSH_SUITE
    return replace(_with_keys(meter, keys, keys.encryption_key, suite), any_suite=True)


def _with_keys(
    meter: MeterConfig, keys: MeterKeys, encryption_key: bytes, suite: int
) -> SecuritySettings:
    unknown = meter.authentication_key_unknown
    if (keys.authentication_key is None) != unknown:
        raise ConfigError(
            f"meter {meter.id}: its keys_file must hold an authentication_key, "
            "or else authentication_key_unknown must be true"
        )
    if len(encryption_key) != _KEY_OCTETS[suite]:
        raise ConfigError(
            f"meter {meter.id}: security suite {suite} takes keys of {_KEY_OCTETS[suite]} octets"
        )
    return SecuritySettings(
        suite=suite,
        encryption_key=encryption_key,
        authentication_key=keys.authentication_key,
        authentication_key_unknown=unknown,
    )


def _with_key_pairs(
    meter: MeterConfig, keys: MeterKeys, settings: SecuritySettings
) -> SecuritySettings:
    if keys.signing_key is None or keys.meter_signing_key is None:
        raise ConfigError(
            f"meter {meter.id}: its keys_file must hold signing_key and meter_signing_key"
        )
    return replace(
        settings,
        signing_key=PrivateKey.from_scalar(settings.suite, keys.signing_key),
        peer=PeerKeys(PublicKey(settings.suite, keys.meter_signing_key), None),
    )
