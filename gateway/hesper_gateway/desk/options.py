"""The options that every command of `hesper-dlms` which talks to a meter has in common.

They are the fields of one record. `connected` gives a command that takes such a record their
options, so that each is described once.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from hesper_dlms.association import Authentication, Referencing

from hesper_gateway.desk.keys import from_file

_METER = "The way to the meter"
_ASSOCIATION = "Association"
_PROTECTION = "Protection of APDUs"
_KEYS = "Secrets (better in --keys-file or the environment than on the command line)"


class Mechanism(StrEnum):
    """Authentication as people call it."""

    NONE = "none"
    LLS = "lls"
    MD5 = "md5"
    SHA1 = "sha1"
    GMAC = "gmac"
    SHA256 = "sha256"
    ECDSA = "ecdsa"


_MECHANISMS = {
    Mechanism.NONE: Authentication.NONE,
    Mechanism.LLS: Authentication.LOW,
    Mechanism.MD5: Authentication.HIGH_MD5,
    Mechanism.SHA1: Authentication.HIGH_SHA1,
    Mechanism.GMAC: Authentication.HIGH_GMAC,
    Mechanism.SHA256: Authentication.HIGH_SHA256,
    Mechanism.ECDSA: Authentication.HIGH_ECDSA,
}


class Link(StrEnum):
    """What carries APDUs."""

    WRAPPER = "wrapper"
    HDLC = "hdlc"


class Names(StrEnum):
    """How attributes are named in the association."""

    LOGICAL = "logical-name"
    SHORT = "short-name"


class Policy(StrEnum):
    """What an APDU needs at least, sent and received."""

    BOTH = "authenticated-encrypted"
    AUTHENTICATED = "authenticated"
    ENCRYPTED = "encrypted"


class Establishment(StrEnum):
    """Where the key of general-ciphering comes from."""

    IDENTIFIED = "identified"
    WRAPPED = "wrapped"
    ONE_PASS = "one-pass"  # noqa: S105 - a scheme of key agreement, no password
    STATIC = "static"


class Signing(StrEnum):
    """Whether APDUs are signed, and before or after they are ciphered."""

    NONE = "none"
    INSIDE = "inside"
    OUTSIDE = "outside"


def _option(text: str, panel: str, *names: str, **other: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=True, **other)


def _file(text: str, panel: str, *names: str) -> Any:
    return _option(text, panel, *names, exists=True, dir_okay=False)


def _secret(text: str, name: str) -> Any:
    flag = f"--{name.replace('_', '-')}"
    return _option(text, _KEYS, flag, envvar=f"HESPER_DLMS_{name.upper()}", show_envvar=True)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the meter is and how to associate with it."""

    host: Annotated[str | None, _option("Meter's address; with --port.", _METER)] = None
    port: Annotated[int, _option("TCP or UDP port.", _METER, min=1, max=65535)] = 4059
    udp: Annotated[bool, _option("The wrapper over UDP.", _METER, "--udp")] = False
    serial: Annotated[
        str | None, _option("Serial port instead, e.g. /dev/ttyUSB0 (HDLC).", _METER)
    ] = None
    baudrate: Annotated[
        int, _option("Speed of the serial port.", _METER, min=50, max=4_000_000)
    ] = 9600
    framing: Annotated[str, _option("Framing of the serial port.", _METER)] = "8N1"
    mode_e: Annotated[
        bool,
        _option(
            "Sign on by IEC 62056-21 mode E first (optical heads, 300 7E1).", _METER, "--mode-e"
        ),
    ] = False
    link: Annotated[
        Link | None, _option("Default: wrapper over TCP, hdlc over serial.", _METER)
    ] = None
    server: Annotated[
        int,
        _option(
            "Logical device address (wPort over TCP); 1 is management.", _METER, min=0, max=65535
        ),
    ] = 1
    physical: Annotated[
        int | None,
        _option("HDLC physical address: often the last digits of the serial + 16.", _METER),
    ] = None
    address_octets: Annotated[
        int | None, _option("HDLC server address size: 1, 2 or 4.", _METER, "--address-octets")
    ] = None
    timeout: Annotated[float, _option("Seconds of silence before a retry.", _METER, min=0.05)] = 5.0
    trace: Annotated[
        bool, _option("Show every octet sent and received on stderr.", _METER, "--trace")
    ] = False
    client: Annotated[
        int,
        _option(
            "Client address: 16 public, 1 management, 2 reading.", _ASSOCIATION, min=1, max=65535
        ),
    ] = 16
    authentication: Annotated[
        Mechanism,
        _option(
            "lls, md5, sha1, sha256 need a password; gmac keys; ecdsa signing keys.", _ASSOCIATION
        ),
    ] = Mechanism.NONE
    referencing: Annotated[
        Names, _option("Short names: older Landis+Gyr and Indian meters.", _ASSOCIATION)
    ] = Names.LOGICAL
    system_title: Annotated[
        str, _option("Ours, 8 octets in hex.", _ASSOCIATION, "--system-title")
    ] = "4853500000000001"
    max_pdu: Annotated[
        int, _option("The largest APDU that we take, octets.", _ASSOCIATION, min=12, max=65535)
    ] = 65535
    ciphered: Annotated[
        bool | None,
        typer.Option(
            "--ciphered/--plain",
            help="Cipher APDUs with the keys. Default: only with gmac.",
            rich_help_panel=_PROTECTION,
        ),
    ] = None
    suite: Annotated[
        int,
        _option(
            "0 (AES-128), 1 (the same, P-256), 2 (AES-256, P-384).",
            _PROTECTION,
            min=0,
            max=2,
        ),
    ] = 0
    policy: Annotated[
        Policy,
        _option(
            "What an APDU needs at least, ours and the meter's: authenticated-encrypted, "
            "authenticated or encrypted.",
            _PROTECTION,
            metavar="HOW",
        ),
    ] = Policy.BOTH
    general: Annotated[
        bool,
        _option("Send general-glo/ded-ciphering instead of glo-/ded-…", _PROTECTION, "--general"),
    ] = False
    general_ciphering: Annotated[
        Establishment | None,
        _option(
            "Send general-ciphering with a key that is identified, wrapped, one-pass or static.",
            _PROTECTION,
            metavar="KEY",
        ),
    ] = None
    sign: Annotated[
        Signing,
        _option(
            "Sign APDUs before (inside) or after ciphering (outside), or none.",
            _PROTECTION,
            metavar="WHERE",
        ),
    ] = Signing.NONE
    invocation_counter: Annotated[
        int | None,
        _option(
            "First counter to use. Default: beyond --counter-object, read as client 16.",
            _PROTECTION,
            "--invocation-counter",
        ),
    ] = None
    counter_object: Annotated[
        str, _option("Logical name of the invocation counter.", _PROTECTION)
    ] = "0.0.43.1.0.255"
    password: Annotated[str | None, _secret("Secret of lls, md5, sha1, sha256.", "password")] = (
        field(default=None, repr=False)
    )
    encryption_key: Annotated[
        str | None, _secret("Global unicast encryption key, hex.", "encryption_key")
    ] = field(default=None, repr=False)
    authentication_key: Annotated[
        str | None, _secret("Authentication key, hex.", "authentication_key")
    ] = field(default=None, repr=False)
    dedicated_key: Annotated[
        str | None,
        _secret("Key of this association alone: hex, or `random`.", "dedicated_key"),
    ] = field(default=None, repr=False)
    master_key: Annotated[
        str | None, _secret("Key-encrypting key, for wrapped keys, hex.", "master_key")
    ] = field(default=None, repr=False)
    keys_file: Annotated[
        Path | None,
        _file(
            "JSON: password, encryption_key, authentication_key, master_key; in hex also "
            "signing_key, agreement_key, meter_signing_key, meter_agreement_key.",
            _KEYS,
            "--keys-file",
        ),
    ] = None
    signing_key: Annotated[Path | None, _file("Our signing key, PEM.", _KEYS, "--signing-key")] = (
        None
    )
    agreement_key: Annotated[
        Path | None, _file("Our key agreement key, PEM.", _KEYS, "--agreement-key")
    ] = None
    meter_signing_key: Annotated[
        Path | None,
        _file("The meter's signing key or certificate, PEM.", _KEYS, "--meter-signing-key"),
    ] = None
    meter_agreement_key: Annotated[
        Path | None,
        _file("The meter's agreement key or certificate, PEM.", _KEYS, "--meter-agreement-key"),
    ] = None

    @property
    def mechanism(self) -> Authentication:
        """The authentication mechanism."""
        return _MECHANISMS[self.authentication]

    @property
    def names(self) -> Referencing:
        """How attributes are named."""
        short = self.referencing is Names.SHORT
        return Referencing.SHORT_NAME if short else Referencing.LOGICAL_NAME

    @property
    def over_hdlc(self) -> bool:
        """Whether frames are HDLC."""
        return (self.link or (Link.HDLC if self.serial else Link.WRAPPER)) is Link.HDLC

    def secret(self, name: str) -> str | None:
        """Return a secret from its option or else from the keys file; LocalError if unreadable."""
        given: str | None = getattr(self, name)
        return from_file(self.keys_file, name) if given is None else given


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose first parameter is a `Connection` the options of one."""
    fields = dataclasses.fields(Connection)
    hints = typing.get_type_hints(Connection, include_extras=True)
    own_hints = typing.get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]

    @functools.wraps(command)
    def with_options(**options: Any) -> None:
        values = {field.name: options.pop(field.name) for field in fields}
        command(Connection(**values), **options)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [each.replace(kind=keyword, annotation=own_hints[each.name]) for each in own]
    parameters += [
        inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])
        for field in fields
    ]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options
