"""Keys from options, environment and files; never echoed, neither in messages nor in repr."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from hesper_dlms.errors import LocalError
from hesper_dlms.security import SecuritySettings

from hesper_gateway import person_json
from hesper_gateway.person_json import NotJson
from hesper_gateway.secrets_files import openness

_SUITE_BY_OCTETS = {16: 0, 32: 2}
_ENTRIES = {
    "password", "encryption_key", "authentication_key", "dedicated_key", "master_key",
    "signing_key", "agreement_key", "meter_signing_key", "meter_agreement_key",
}  # fmt: skip
"""What a keys file may hold."""

EncryptionKey = Annotated[
    str | None,
    typer.Option(envvar="HESPER_DLMS_ENCRYPTION_KEY", help="Global encryption key, hex."),
]
AuthenticationKey = Annotated[
    str | None,
    typer.Option(envvar="HESPER_DLMS_AUTHENTICATION_KEY", help="Authentication key, hex."),
]
KeyUnknown = Annotated[
    bool,
    typer.Option(
        "--authentication-key-unknown",
        help="Nobody gave you that key: decode without verifying, and say so.",
    ),
]
KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys-file",
        exists=True,
        dir_okay=False,
        help="JSON with encryption_key and authentication_key, instead of the two options.",
    ),
]


def hex_octets(text: str, what: str) -> bytes:
    """Return the octets of hex text, spaces allowed; LocalError names `what` and not its value."""
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise LocalError(f"{what} is not in hexadecimal digits") from None


def from_file(file: Path | None, name: str) -> str | None:
    """Return an entry of a keys file; None when there is no file or no such entry.

    Raises:
        LocalError: The file is none; the message does not tell what stands in it.
    """
    if file is None:
        return None
    value = _entries(file).get(name)
    return None if value is None else str(value)


@cache
def _entries(file: Path) -> dict[str, Any]:
    try:
        reproach = openness(file)
        entries = person_json.read(file)
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from None
    except NotJson as error:
        raise LocalError(f"{file} is no JSON: {error}") from None
    except ValueError:
        raise LocalError(f"{file} is no text in UTF-8") from None
    if not isinstance(entries, dict):
        raise LocalError(f'{file} is no JSON object such as {{"password": "…"}}')
    if reproach:  # the agent refuses it; here a person may have it on a stick that knows no owners
        typer.echo(reproach, err=True)
    strange = sorted(entries.keys() - _ENTRIES)
    if strange:
        known = ", ".join(sorted(_ENTRIES))
        raise LocalError(f"{file}: unknown key {strange[0]!r}; there are {known}")
    return entries


def receiving_keys(
    encryption_key: str | None,
    authentication_key: str | None,
    unknown: bool,
    file: Path | None = None,
) -> SecuritySettings | None:
    """Return keys for what others sent; None without any.

    Raises:
        LocalError: They are no keys, or one is missing.
    """
    encryption_key = encryption_key or from_file(file, "encryption_key")
    authentication_key = authentication_key or from_file(file, "authentication_key")
    if encryption_key is None:
        if authentication_key is not None or unknown:
            raise LocalError("an authentication key is of no use without --encryption-key")
        return None
    encryption = hex_octets(encryption_key, "the encryption key")
    suite = _SUITE_BY_OCTETS.get(len(encryption))
    if suite is None:
        raise LocalError("an encryption key has 32 hex digits, or 64 in suite 2")
    return SecuritySettings(
        suite,
        encryption,
        None
        if authentication_key is None
        else hex_octets(authentication_key, "the authentication key"),
        authentication_key_unknown=unknown,
        any_suite=True,
    )
