"""One archive with what support needs: versions, settings, statistics, log; no secret.

It works while the agent runs, and when it cannot: without a database, with a broken one, or with a
gateway.toml that does not load. Of such a file only the complaint is kept, because a file that
nobody understands may hold a password anywhere.
"""

import io
import json
import os
import sqlite3
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hesper_gateway import statistics, templates
from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.database import DATABASE_NAME
from hesper_gateway.errors import ConfigError
from hesper_gateway.support import machine, secrets

Findings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The archive, and what a person should read of it."""

    path: Path
    summary: str


def make(config_path: Path, folder: Path, log_path: Path | None) -> Bundle:
    """Write the archive into a folder, readable by its owner alone.

    Raises:
        ConfigError: a secret could not be read and so not be left out; or no room for the archive.
    """
    config, complaint = _configuration(config_path)
    hidden = frozenset[str]() if config is None else secrets.collect(config)
    log = machine.log(log_path)
    findings = _findings(config, complaint, log)
    texts = {
        "summary.txt": summarised(findings),
        "findings.json": json.dumps(findings, indent=1),
        "gateway.log": log or "no log was found; name one with --log\n",
    }
    clean = {name: secrets.without(text, hidden) for name, text in texts.items()}
    gateway = "unknown" if config is None else config.gateway
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = folder / f"hesper-support-{gateway}-{stamp}.tar.gz"
    try:
        _write(path, clean)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return Bundle(path, clean["summary.txt"])


def summarised(findings: Findings) -> str:
    """Return the findings as lines that a person reads."""
    lines = []
    for title, content in findings.items():
        if title == "configuration":
            continue
        lines.append(f"{title}:")
        if not isinstance(content, dict):
            lines.append(f"  {content}")
            continue
        for name, value in content.items():
            shown = (
                ", ".join(f"{part} {each}" for part, each in value.items())
                if isinstance(value, dict)
                else value
            )
            lines.append(f"  {name.replace('_', ' '):24}{shown}")
    return "\n".join(lines) + "\n"


def _configuration(path: Path) -> tuple[GatewayConfig | None, str]:
    try:
        return load(path), ""
    except ConfigError as error:
        return None, str(error)


def _findings(config: GatewayConfig | None, complaint: str, log: str) -> Findings:
    found: Findings = {
        "versions": machine.versions(),
        "clock": machine.clock(),
        "service": machine.service(),
    }
    if config is None:
        return found | {"configuration_refused": complaint}
    found["room"] = machine.room(config.state if config.state.exists() else config.state.parent)
    found["secret_files"] = {what: _file_state(path) for what, path in secrets.files(config)}
    found["state_files"] = _sizes(config.state)
    found |= _database(config, log)
    found["configuration"] = secrets.configuration(config)
    return found


def _database(config: GatewayConfig, log: str) -> Findings:
    path = config.state / DATABASE_NAME
    try:
        with statistics.opened(path) as connection:
            found: Findings = {
                "database": statistics.storage(connection),
                "queue": statistics.queue(connection),
            }
            known = statistics.meters(connection)
    except sqlite3.Error as error:
        return {"database": f"cannot be read: {error}"}
    last = _last_words(log, [meter.id for meter in config.meters])
    found["meters"] = {
        meter.id: {
            "line": meter.line,
            "engine": _engine(config, meter.template),
            **known.get(meter.id, {}),
            "last_log": last[meter.id],
        }
        for meter in config.meters
    }
    return found


def _engine(config: GatewayConfig, template: str) -> str:
    """Return who reads meters of a template."""
    try:
        return templates.load_own(config.templates, template).engine
    except ConfigError:
        return "unknown: its template does not load"


def _last_words(log: str, meters: list[str]) -> dict[str, str]:
    """Return the last log line about each meter: whether it is gone or back, and why."""
    found = dict.fromkeys(meters, "")
    for line in log.splitlines():
        _, marker, rest = line.partition(" meter ")
        name = rest.partition(":")[0]
        if marker and name in found:
            found[name] = line
    return found


def _file_state(path: Path) -> str:
    try:
        return f"present, mode {path.stat().st_mode & 0o777:04o}"
    except OSError as error:
        return str(error.strerror)


def _sizes(folder: Path) -> dict[str, int]:
    try:
        return {each.name: each.stat().st_size for each in folder.iterdir() if each.is_file()}
    except OSError:
        return {}


def _write(path: Path, texts: dict[str, str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in texts.items():
            octets = text.encode()
            entry = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            entry.size, entry.mode, entry.mtime = len(octets), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(octets))
