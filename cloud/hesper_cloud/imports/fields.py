"""How the cells of each sort of column are read."""

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hesper_contracts.frame import Refused
from hesper_contracts.topics import gateway_id, meter_id

from hesper_cloud.assets import checks
from hesper_cloud.assets.checks import Check
from hesper_cloud.imports.amounts import Habits, read_date, read_megabytes
from hesper_cloud.imports.problems import Bad
from hesper_cloud.worded import later

Read = Callable[[str, Habits], Any]
_SHORTENED = re.compile(r"\d([.,]\d+)?[eE]\+\d+")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.–-]{3,}(?:\s?(?:x|ext\.?)\s?\d+)?")
_APN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_AS_TEXT = later(
    "the spreadsheet shortened this number: format the column as text and fill it in again"
)
_SEPARATORS = frozenset(",;|")
_LARGEST_PORT = 65_535


def text(longest: int) -> Read:
    """Returns a reader of texts."""

    def read(value: str, _habits: Habits) -> str:
        if len(value) > longest:
            raise Bad("too_long", f"at most {longest} characters; this has {len(value)}")
        return value

    return read


def key(longest: int) -> Read:
    """Returns a reader of names by which things are known."""
    of_text = text(longest)

    def read(value: str, habits: Habits) -> Any:
        if _SHORTENED.fullmatch(value):
            raise Bad("shortened_number", _AS_TEXT)
        return of_text(value, habits)

    return read


def meter(value: str, _habits: Habits) -> str:
    """Reads the serial number of a meter; a row with other separators than its file is none."""
    if _SHORTENED.fullmatch(value):
        raise Bad("shortened_number", _AS_TEXT)
    with suppress(Refused):
        if _SEPARATORS.isdisjoint(value):
            return meter_id(value)
    advice = "a serial number: 1 to 32 letters, digits and signs, no comma, semicolon or bar"
    raise Bad("not_a_meter", advice)


def gateway(value: str, _habits: Habits) -> str:
    """Reads the name of a gateway."""
    try:
        return gateway_id(value)
    except Refused:
        advice = "a gateway's name: 1 to 63 of a-z, 0-9 and -"
        raise Bad("not_a_gateway", advice) from None


def phone(value: str, habits: Habits) -> str:
    """Reads a telephone number as people write it."""
    if _SHORTENED.fullmatch(value):
        raise Bad("shortened_number", _AS_TEXT)
    if not _PHONE.fullmatch(value):
        raise Bad("not_a_phone_number", "digits, with + before the country, such as +43 1 234567")
    return str(text(64)(value, habits))


def checked(check: Check, code: str, advice: str) -> Read:
    """Returns a reader of what the registry itself checks; ``advice`` says what is wanted."""

    def read(value: str, _habits: Habits) -> Any:
        if _SHORTENED.fullmatch(value):
            raise Bad("shortened_number", _AS_TEXT)
        try:
            return check(value)
        except ValueError:
            raise Bad(code, advice) from None

    return read


def _digits(check: Check) -> Check:
    """Returns a check that passes over the blanks and hyphens between digits."""
    return lambda value: check(value.replace(" ", "").replace("-", ""))


email = checked(checks.email, "not_an_email", "one address, such as name@example.org")
iccid = checked(
    _digits(checks.iccid),
    "not_an_iccid",
    "18 to 20 digits that begin with 89 (ITU-T E.118); of 19 the last one is checked",
)
imsi = checked(_digits(checks.imsi), "not_an_imsi", "14 or 15 digits (ITU-T E.212)")
msisdn = checked(
    _digits(checks.msisdn),
    "not_an_msisdn",
    "5 to 15 digits, with + before the country (ITU-T E.164)",
)
ip_address = checked(
    checks.address,
    "not_an_ip_address",
    "such as 10.20.30.40 or 2001:db8::1",
)


def port(value: str, _habits: Habits) -> int:
    """Reads a port; a spreadsheet's ``4059.0`` is 4059, ``40.000`` may be forty thousand."""
    bare = re.sub(r"[.,]0{1,2}$", "", value)
    if not bare.isascii() or not bare.isdigit() or not 0 < int(bare[:6]) <= _LARGEST_PORT:
        raise Bad("not_a_port", f"a number from 1 to {_LARGEST_PORT}")
    return int(bare)


def apn(value: str, habits: Habits) -> str:
    """Reads the name of an access point (3GPP TS 23.003, 9.1)."""
    if not _APN.fullmatch(value):
        raise Bad("not_an_apn", "labels of letters, digits and - with points between")
    return str(text(100)(value, habits))


def choice(*allowed: str) -> Read:
    """Returns a reader of one of some words, whatever the case."""

    def read(value: str, _habits: Habits) -> str:
        if value.lower() not in allowed:
            raise Bad("not_allowed", f"one of {', '.join(allowed)}")
        return value.lower()

    return read


on_date: Read = read_date
megabytes: Read = read_megabytes
