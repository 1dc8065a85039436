"""The options that every command of `hesper-dlms` which talks to a meter has in common.

They are the fields of one record. `connected` gives a command that takes such a record their
options, so that each is described once.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from hesper_dlms.association import Authentication
from hesper_dlms.errors import LocalError
from hesper_dlms.security import SecuritySettings

_METER = "The way to the meter"
_ASSOCIATION = "Association"
_KEYS = "Secrets (better in --keys-file than on the command line)"


class Mechanism(StrEnum):
    """Authentication as people call it."""

    NONE = "none"
    LLS = "lls"
    GMAC = "gmac"


_MECHANISMS = {
    Mechanism.NONE: Authentication.NONE,
    Mechanism.LLS: Authentication.LOW,
    Mechanism.GMAC: Authentication.HIGH_GMAC,
}


class Link(StrEnum):
    """What carries APDUs."""

    WRAPPER = "wrapper"
    HDLC = "hdlc"


def _option(text: str, panel: str, *names: str, **other: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, show_default=True, **other)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the meter is and how to associate with it."""

    host: Annotated[str | None, _option("Meter's address; with --port.", _METER)] = None
    port: Annotated[int, _option("TCP port.", _METER)] = 4059
    serial: Annotated[
        str | None, _option("Serial port instead, e.g. /dev/ttyUSB0 (HDLC).", _METER)
    ] = None
    baudrate: Annotated[int, _option("Speed of the serial port.", _METER)] = 9600
    framing: Annotated[str, _option("Framing of the serial port.", _METER)] = "8N1"
    link: Annotated[
        Link | None, _option("Default: wrapper over TCP, hdlc over serial.", _METER)
    ] = None
    server: Annotated[
        int, _option("Logical device address (wPort over TCP); 1 is management.", _METER)
    ] = 1
    physical: Annotated[
        int | None,
        _option("HDLC physical address: often the last digits of the serial + 16.", _METER),
    ] = None
    address_octets: Annotated[
        int | None, _option("HDLC server address size: 1, 2 or 4.", _METER, "--address-octets")
    ] = None
    timeout: Annotated[float, _option("Seconds of silence before a retry.", _METER)] = 5.0
    client: Annotated[
        int, _option("Client address: 16 public, 1 management, 2 reading.", _ASSOCIATION)
    ] = 16
    authentication: Annotated[
        Mechanism, _option("none, lls (password) or gmac (keys).", _ASSOCIATION)
    ] = Mechanism.NONE
    ciphered: Annotated[
        bool | None,
        typer.Option(
            "--ciphered/--plain",
            help="Cipher APDUs with the keys. Default: only with gmac.",
            rich_help_panel=_ASSOCIATION,
        ),
    ] = None
    suite: Annotated[int, _option("Security suite; this version has 0.", _ASSOCIATION)] = 0
    system_title: Annotated[
        str, _option("Ours, 8 octets in hex.", _ASSOCIATION, "--system-title")
    ] = "4853500000000001"
    invocation_counter: Annotated[
        int | None,
        _option(
            "First counter to use. Default: read 0.0.43.1.0.255 as client 16, plus 1.",
            _ASSOCIATION,
            "--invocation-counter",
        ),
    ] = None
    password: Annotated[
        str | None, _option("LLS password.", _KEYS, envvar="HESPER_DLMS_PASSWORD")
    ] = None
    encryption_key: Annotated[
        str | None,
        _option("32 hex digits.", _KEYS, "--encryption-key", envvar="HESPER_DLMS_ENCRYPTION_KEY"),
    ] = None
    authentication_key: Annotated[
        str | None,
        _option(
            "32 hex digits.", _KEYS, "--authentication-key", envvar="HESPER_DLMS_AUTHENTICATION_KEY"
        ),
    ] = None
    keys_file: Annotated[
        Path | None,
        _option(
            "JSON with encryption_key, authentication_key, password.",
            _KEYS,
            "--keys-file",
            exists=True,
            dir_okay=False,
        ),
    ] = None
    trace: Annotated[bool, _option("Show every octet sent and received on stderr.", _METER)] = False

    @property
    def mechanism(self) -> Authentication:
        """The authentication mechanism."""
        return _MECHANISMS[self.authentication]

    @property
    def over_hdlc(self) -> bool:
        """Whether frames are HDLC."""
        return (self.link or (Link.HDLC if self.serial else Link.WRAPPER)) is Link.HDLC

    def secret(self, name: str) -> str | None:
        """Return a secret from its option or else from the keys file; LocalError if unreadable."""
        given: str | None = getattr(self, name)
        if given is not None or self.keys_file is None:
            return given
        try:
            value = json.loads(self.keys_file.read_text()).get(name)
        except (OSError, ValueError, AttributeError) as error:
            raise LocalError(f"{self.keys_file} is no keys file: {error}") from None
        return None if value is None else str(value)

    def security(self) -> SecuritySettings | None:
        """Return keys and policy; None where neither HLS nor ciphering needs any."""
        if self.mechanism is not Authentication.HIGH_GMAC and not self.ciphered:
            return None
        encryption, authentication = (
            self.secret("encryption_key"),
            self.secret("authentication_key"),
        )
        if encryption is None:
            raise LocalError("gmac and ciphering need --encryption-key and --authentication-key")
        return SecuritySettings(
            self.suite,
            hex_octets(encryption, "the encryption key"),
            None
            if authentication is None
            else hex_octets(authentication, "the authentication key"),
        )


def hex_octets(text: str, what: str) -> bytes:
    """Return the octets of hex text, spaces allowed; LocalError names `what` and not its value."""
    try:
        return bytes.fromhex("".join(text.split()))
    except ValueError:
        raise LocalError(f"{what} is not in hexadecimal digits") from None


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
