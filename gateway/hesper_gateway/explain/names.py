"""What the numbers in APDUs mean, and which fields nobody should see."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from hesper_dlms import apdu
from hesper_dlms.apdu.ciphered import DED_TAGS, GENERAL_DED, GENERAL_GLO, GLO_TAGS
from hesper_dlms.apdu.error import (
    CONFIRMED_SERVICES,
    ERROR_KINDS,
    SERVICE_ERRORS,
    STATE_ERRORS,
)
from hesper_dlms.security.settings import AUTHENTICATED, BROADCAST_KEY, COMPRESSED, ENCRYPTED

_TABLES: dict[str, type[IntEnum]] = {
    "application_context": apdu.ApplicationContext,
    "mechanism": apdu.Mechanism,
    "result": apdu.DataAccessResult,
    "results": apdu.DataAccessResult,
    "error": apdu.DataAccessResult,
    "returned": apdu.DataAccessResult,
}
"""Field → the meaning of a number in it."""

_OTHER: dict[tuple[type, str], type[IntEnum] | None] = {
    (apdu.ActionResponseNormal, "result"): apdu.ActionResult,
    (apdu.ActionOutcome, "result"): apdu.ActionResult,
}
"""The same where a field means something else in one record."""

_PLAIN_NAMES = {
    0x01: "initiate-request",
    0x05: "read-request",
    0x06: "write-request",
    0x08: "initiate-response",
    0x0C: "read-response",
    0x0D: "write-response",
    0x0E: "confirmed-service-error",
    0x0F: "data-notification",
    0x10: "data-notification-confirm",
    0x16: "unconfirmed-write-request",
    0x18: "information-report-request",
    0x60: "AARQ",
    0x61: "AARE",
    0x62: "RLRQ",
    0x63: "RLRE",
    0xC0: "get-request",
    0xC1: "set-request",
    0xC2: "event-notification",
    0xC3: "action-request",
    0xC4: "get-response",
    0xC5: "set-response",
    0xC7: "action-response",
    0xD8: "exception-response",
    0xD9: "access-request",
    0xDA: "access-response",
    0xDD: "general-ciphering",
    0xDF: "general-signing",
    0xE0: "general-block-transfer",
}
_CIPHERED_NAMES = {
    GENERAL_GLO: "general-glo-ciphering",
    GENERAL_DED: "general-ded-ciphering",
    **{tag: f"glo-{_PLAIN_NAMES[plain]}" for plain, tag in GLO_TAGS.items()},
    **{tag: f"ded-{_PLAIN_NAMES[plain]}" for plain, tag in DED_TAGS.items()},
}
_CONTROL_BITS = {
    AUTHENTICATED: "authenticated",
    ENCRYPTED: "encrypted",
    BROADCAST_KEY: "broadcast key",
    COMPRESSED: "compressed",
}

_SECRET_FIELDS = {"authentication_value", "dedicated_key", "key_ciphered_data"}
_CARRIERS = ("octets", "parameters", "block", "values", "data")
_SECRETS_BY_CLASS = {
    12: None,  # association SN: secret, change of the HLS secret
    15: None,  # association LN: the same
    64: None,  # security setup: key transfer, key agreement, certificates
    72: (7, 8),  # M-Bus client: set encryption key, transfer key
}
_LLS_SECRET = 7
_ASSOCIATION_NAMES = 0xFA
"""High octet of the short names of the association object, which holds the secret."""

_AARE: dict[str, dict[int, str]] = {
    "result": {0: "accepted", 1: "rejected-permanent", 2: "rejected-transient"},
    "diagnostic": {
        0: "null",
        1: "no-reason-given",
        2: "application-context-name-not-supported",
        3: "calling-AP-title-not-recognized",
        11: "authentication-mechanism-name-not-recognised",
        12: "authentication-mechanism-name-required",
        13: "authentication-failure",
        14: "authentication-required",
    },
}
"""Numbers of the AARE (IEC 62056-5-3, 6.2; acse-service-user diagnostics)."""


def diagnostic_name(diagnostic: int | None) -> str:
    """Return the standard's name of an AARE's diagnostic; empty when it has none."""
    return "" if diagnostic is None else _AARE["diagnostic"].get(diagnostic, "")


def apdu_name(octets: bytes) -> str:
    """Return the standard's name of the APDU that begins so; empty when there is none."""
    tag = octets[0] if octets else -1
    return _PLAIN_NAMES.get(tag) or _CIPHERED_NAMES.get(tag, "")


def number(record: Any, name: str, value: int) -> str:
    """Return a number of a record's field with its meaning."""
    if isinstance(record, apdu.Ciphered) and name == "tag":
        return f"{value:02X} {_CIPHERED_NAMES.get(value, '')}"
    if name == "security_control":
        meant = [text for bit, text in _CONTROL_BITS.items() if value & bit]
        return f"{value:02X} suite {value & 0x0F}, {', '.join(meant) or 'nothing'}"
    if isinstance(value, apdu.Conformance):
        names = (str(flag.name).lower().replace("_", "-") for flag in value)
        return f"{int(value):06X} {', '.join(names)}"
    shown = str(value) if isinstance(value, bool) or value < 10 else f"{value} (0x{value:X})"
    return shown + _meaning(record, name, value)


def _meaning(record: Any, name: str, value: int) -> str:
    if isinstance(value, bool):
        return ""
    if isinstance(record, apdu.ExceptionResponse | apdu.ConfirmedServiceError):
        return f" {_refusal(record, name, value)}".rstrip()
    if isinstance(record, apdu.Aare) and name in _AARE and not record.from_provider:
        return f" {_AARE[name].get(value, '')}".rstrip()
    if isinstance(value, IntEnum):
        return f" {value.name.lower().replace('_', '-')}"
    table = _OTHER.get((type(record), name), _TABLES.get(name))
    try:
        return "" if table is None else f" {table(value).name.lower().replace('_', '-')}"
    except ValueError:
        return " (unknown)"


def _refusal(record: Any, name: str, value: int) -> str:
    """Return what a number of an exception-response or confirmed-service-error means."""
    if name == "state_error":
        return STATE_ERRORS.get(value, "")
    if name == "service_error":
        return SERVICE_ERRORS.get(value, "")
    if name == "service":
        return CONFIRMED_SERVICES.get(value, "")
    kind, values = ERROR_KINDS.get(getattr(record, "kind", -1), ("", ()))
    if name == "kind":
        return kind
    return values[value] if name == "value" and value < len(values) else ""


def is_secret(record: Any, name: str) -> bool:
    """Return whether a field holds a password, a challenge or keys."""
    if name in _SECRET_FIELDS:
        return True
    if name in ("values", "parameter") and any(
        base >> 8 == _ASSOCIATION_NAMES for base in _short_names(record)
    ):
        return True
    return name in _CARRIERS and any(_is_secret_target(each) for each in _targets(record))


def _short_names(record: Any) -> list[int]:
    """Return the short names that a request writes to or calls."""
    accesses = getattr(record, "accesses", None) or (record,)
    names = [getattr(each, "name", None) for each in accesses]
    return [each for each in names if isinstance(each, int)]


def _targets(record: Any) -> list[Any]:
    """Return the attributes and methods that a request names."""
    found = [getattr(record, name, None) for name in ("attribute", "method")]
    for name in ("attributes", "methods", "specifications"):
        for each in getattr(record, name, None) or ():
            found += [
                each,
                *(getattr(each, name, None) for name in ("attribute", "method")),
            ]
    return [each for each in found if hasattr(each, "class_id")]


def _is_secret_target(target: Any) -> bool:
    if target.class_id not in _SECRETS_BY_CLASS:
        return False
    numbers = _SECRETS_BY_CLASS[target.class_id]
    method = getattr(target, "method_id", None)
    if method is None:
        return target.class_id == 64 or getattr(target, "attribute_id", None) == _LLS_SECRET
    return numbers is None or method in numbers
