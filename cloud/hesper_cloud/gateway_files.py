"""A gateway's configuration as files: gateway.toml, and what it names beside it.

The head end only keeps them; what they mean is the gateway's matter. So this checks what must be
right for a device to come up with them and to be reached: that every file can lie in the device's
folder, that broker account and keys fit, and that it obeys this head end. The rest is checked by
`hesper-gateway enroll` before it puts anything in place.
"""

import tomllib
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hesper_contracts.enrolment import CONFIGURATION, Configuration, File
from hesper_contracts.frame import Refused

MOST_OCTETS = 4 * 1024 * 1024
_SIGNING, _TEMPLATES = "gateway.key", "templates"


class FilesError(Exception):
    """The files cannot be kept as they are; the text says what to change."""


def collect(path: Path, gateway: str, trusted: dict[str, dict[str, str]]) -> Configuration:
    """Returns the configuration that a gateway.toml describes.

    Args:
        path: The file; others that it names lie relative to its folder.
        gateway: Whose it must be.
        trusted: What ``[keys]`` must hold, as ``{"commands": {key id: public key}, …}``.

    Raises:
        FilesError: something is missing or does not fit.
    """
    octets = path.read_bytes().removeprefix(BOM_UTF8)  # of an editor of Windows
    try:
        document = tomllib.loads(octets.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FilesError(f"{path}: not TOML: {error}") from None
    _check_broker(path, document, gateway)
    _check_keys(path, document, trusted)
    _check_lines(path, document)
    names = [CONFIGURATION, *sorted({*_named(document), *_templates(path, document)})]
    try:
        files = [
            File(name, octets if name == CONFIGURATION else _read(path, name)) for name in names
        ]
        found = Configuration(tuple(files))
    except (Refused, ValueError) as error:
        raise FilesError(f"{path}: {error}") from None
    if sum(len(file.octets) for file in files) > MOST_OCTETS:
        raise FilesError(f"{path}: with its files larger than {MOST_OCTETS >> 20} MiB")
    return found


def _check_broker(path: Path, document: dict[str, Any], gateway: str) -> None:
    broker = _table(document, "broker")
    if document.get("gateway") != gateway:
        raise FilesError(f'{path}: gateway must be "{gateway}"')
    if not isinstance(broker.get("host"), str):
        raise FilesError(f"{path}: [broker] needs a host")
    if broker.get("username") != gateway:
        raise FilesError(f'{path}: [broker] username must be "{gateway}"')
    ways = [name for name in ("password_file", "certificate") if name in broker]
    if not ways:
        raise FilesError(f"{path}: [broker] needs a password_file, a certificate, or both")
    for name in ways:
        _below(path, f"[broker] {name}", broker[name])
    if "certificate" in broker and "tls_ca" not in broker:
        raise FilesError(f"{path}: [broker] certificate is shown over TLS alone; name tls_ca, too")


def _check_keys(path: Path, document: dict[str, Any], trusted: dict[str, dict[str, str]]) -> None:
    keys = _table(document, "keys")
    _below(path, "[keys] signing", keys.get("signing", _SIGNING))
    for purpose, wanted in trusted.items():
        given = keys.get(purpose)
        for name, public_key in wanted.items():
            if not isinstance(given, dict) or str(given.get(name)).lower() != public_key:
                raise FilesError(
                    f"{path}: [keys.{purpose}] must hold this head end's key: "
                    f'{name} = "{public_key}"'
                )


def _check_lines(path: Path, document: dict[str, Any]) -> None:
    known = [line.get("name") for line in _entries(document, "lines")]
    for meter in _entries(document, "meters"):
        if meter.get("line") not in known:
            raise FilesError(
                f"{path}: meter {meter.get('id')}: no line is named {meter.get('line')!r}"
            )


def _named(document: dict[str, Any]) -> Iterator[str]:
    """Yields the files that the configuration names, other than those made on the device."""
    certificate = _table(document, "broker").get("tls_ca")
    if certificate is not None:
        yield str(certificate)
    for table, name in (("meters", "keys_file"), ("modems", "pin_file")):
        for entry in _entries(document, table):
            if entry.get(name) is not None:
                yield str(entry[name])


def _templates(path: Path, document: dict[str, Any]) -> Iterator[str]:
    """Yields every template of one's own: they extend each other."""
    folder = str(document.get("templates", _TEMPLATES))
    _below(path, "templates", folder)
    for file in (path.parent / folder).glob("*.toml"):
        yield f"{Path(folder).as_posix()}/{file.name}"


def _read(path: Path, name: str) -> bytes:
    _below(path, "a file that it names", name)
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise FilesError(f"{path} names {name}: {error.strerror}") from None


def _below(path: Path, what: str, name: object) -> None:
    try:
        if not isinstance(name, str):
            raise FilesError(f"{path}: {what} must name a file")
        File(name, b"")
    except ValueError as error:
        raise FilesError(f"{path}: {what}: {error}") from None


def _entries(document: dict[str, Any], table: str) -> list[dict[str, Any]]:
    found = document.get(table, [])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name, {})
    return found if isinstance(found, dict) else {}
