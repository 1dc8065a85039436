"""Secrets stay at home: what the configuration names is known here, so that it can be left out.

Two fences. Files with secrets are never copied, and settings that may hold one are replaced before
anything is written. Then every text of the bundle, logs included, is searched for each secret that
the configuration leads to, and what is found is replaced: a log line that should not have held a
key does no harm.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hesper_gateway.certificate.holding import SUCCESSOR
from hesper_gateway.config import GatewayConfig
from hesper_gateway.errors import ConfigError
from hesper_gateway.key_store import KEYS_FOLDER

LEFT_OUT = "(left out)"
_FIELDS = {"wake_text", "phone"}
_SHORT = 8
"""Secrets shorter than this, as a PIN, are replaced only where they stand alone."""
_LEAST = 4


def files(config: GatewayConfig) -> Iterator[tuple[str, Path]]:
    """Yield the files that hold secrets or certificates, with what each is for."""
    yield "gateway key", config.keys.signing
    if config.broker.password_file is not None:
        yield "broker password", config.broker.password_file
    if config.broker.tls_ca is not None:
        yield "broker certificate", config.broker.tls_ca
    if (own := config.broker.certificate) is not None:
        yield "own key and certificate", own
        yield "their successors", own.with_name(own.name + SUCCESSOR)
    for modem in config.modems:
        if modem.pin_file is not None:
            yield f"PIN of modem {modem.name}", modem.pin_file
    for meter in config.meters:
        if meter.keys_file is not None:
            yield f"keys of meter {meter.id}", meter.keys_file
    for path in sorted((config.state / KEYS_FOLDER).glob("*")):
        yield f"changed keys {path.stem}", path


def collect(config: GatewayConfig) -> frozenset[str]:
    """Return every secret text that the configuration leads to.

    Raises:
        ConfigError: a file is there and cannot be read, so that its secret could not be left out.
    """
    found: set[str] = set()
    for _, path in files(config):
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; run as the agent's account") from error
        found.update(_texts(text))
    for modem in config.modems:
        found.update(modem.commands)
        found.update(re.split(r"[=,\"]+", " ".join(modem.commands))[1:])
    found.update(getattr(line, "wake_text", "") for line in config.lines)
    found.update(meter.phone for meter in config.meters if meter.phone)
    found.update([json.dumps(text)[1:-1] for text in found])  # as findings.json spells it
    return frozenset(text for text in found if len(text) >= _LEAST)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which no secret is left, whatever its case."""
    for secret in sorted(secrets, key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) < _SHORT:
            pattern = rf"(?<![0-9A-Za-z]){pattern}(?![0-9A-Za-z])"
        text = re.sub(pattern, LEFT_OUT, text, flags=re.IGNORECASE)
    return text


def configuration(config: GatewayConfig) -> dict[str, Any]:
    """Return the settings as they were understood, defaults included, without secrets."""
    document = config.model_dump(mode="json")
    for modem in document["modems"]:
        modem["commands"] = [LEFT_OUT] * len(modem["commands"])
    for table in (*document["lines"], *document["meters"]):
        for name in _FIELDS & table.keys():
            if table[name]:
                table[name] = LEFT_OUT
    return document


def _texts(text: str) -> Iterator[str]:
    """Yield what is secret in a file: the values of JSON, else its lines, PEM's frame excepted."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        yield from _values(document)
        return
    for line in text.splitlines():
        if not line.startswith("-----"):
            yield line.strip()


def _values(document: dict[str, Any]) -> Iterator[str]:
    for value in document.values():
        if isinstance(value, dict):
            yield from _values(value)
        elif isinstance(value, str):
            yield value
