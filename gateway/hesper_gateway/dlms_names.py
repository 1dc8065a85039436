"""What the numbers in APDUs mean, and which fields nobody should see."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from hesper_dlms import apdu
from hesper_dlms.apdu.ciphered import DED_TAGS, GENERAL_DED, GENERAL_GLO, GLO_TAGS
from hesper_dlms.security.settings import AUTHENTICATED, BROADCAST_KEY, COMPRESSED, ENCRYPTED

_TABLES: dict[tuple[type, str], type[IntEnum]] = {
    (apdu.Aarq, "application_context"): apdu.ApplicationContext,
    (apdu.Aare, "application_context"): apdu.ApplicationContext,
    (apdu.Aarq, "mechanism"): apdu.Mechanism,
    (apdu.Aare, "mechanism"): apdu.Mechanism,
    (apdu.GetResponseNormal, "result"): apdu.DataAccessResult,
    (apdu.GetResponseWithBlock, "error"): apdu.DataAccessResult,
    (apdu.SetResponseNormal, "result"): apdu.DataAccessResult,
    (apdu.SetResponseLastBlock, "result"): apdu.DataAccessResult,
    (apdu.ActionResponseNormal, "result"): apdu.ActionResult,
    (apdu.ActionResponseNormal, "returned"): apdu.DataAccessResult,
}

_PLAIN_NAMES = {
    0x01: "initiate-request",
    0x08: "initiate-response",
    0x0E: "confirmed-service-error",
    0xC0: "get-request",
    0xC1: "set-request",
    0x05: "read-request",
    0x06: "write-request",
    0x0C: "read-response",
    0x0D: "write-response",
    0x16: "unconfirmed-write-request",
    0x18: "information-report",
    0xC2: "event-notification",
    0xC3: "action-request",
    0xC4: "get-response",
    0xC5: "set-response",
    0xC7: "action-response",
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

_SECRET_FIELDS = {"authentication_value", "dedicated_key"}
_ASSOCIATION_CLASSES = (12, 15)
_SECURITY_SETUP = 64
_LLS_SECRET = 7


def number(record: Any, name: str, value: int) -> str:
    """Return a number of a record's field with its meaning."""
    if isinstance(record, apdu.Ciphered) and name == "tag":
        return f"{value:02X} {_CIPHERED_NAMES.get(value, '')}"
    if isinstance(record, apdu.Ciphered) and name == "security_control":
        meant = [text for bit, text in _CONTROL_BITS.items() if value & bit]
        return f"{value:02X} suite {value & 0x0F}, {', '.join(meant) or 'nothing'}"
    if isinstance(value, apdu.Conformance):
        names = (str(flag.name).lower().replace("_", "-") for flag in value)
        return f"{int(value):06X} {', '.join(names)}"
    table = _TABLES.get((type(record), name))
    try:
        meaning = "" if table is None else f" {table(value).name.lower().replace('_', '-')}"
    except ValueError:
        meaning = " (unknown)"
    shown = str(value) if isinstance(value, bool) or value < 10 else f"{value} (0x{value:X})"
    return shown + meaning


def is_secret(record: Any, name: str) -> bool:
    """Return whether a field holds a password, a challenge or keys."""
    if name in _SECRET_FIELDS:
        return True
    target = getattr(record, "attribute", None) or getattr(record, "method", None)
    if name not in ("octets", "parameters", "block") or target is None:
        return False
    if target.class_id == _SECURITY_SETUP:
        return True
    number_of = getattr(target, "attribute_id", None)
    return target.class_id in _ASSOCIATION_CLASSES and number_of == _LLS_SECRET
