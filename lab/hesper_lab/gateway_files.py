"""The gateways' files for a site: one folder each, as it would lie on a Pi."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hesper_contracts.signing import Signer
from hesper_sim import capture
from hesper_sim.capture import Capture
from hesper_sim.fleet import Access, Fleet, MeterPlan

from hesper_lab import private_file, toml_text
from hesper_lab.site import Site, Wishes

LAN, RS485, PUSH = "gw-lan", "gw-rs485", "gw-push"
_PUSH_TEMPLATES = {
    "iskra-am550": "push-iskra-am550",
    "landisgyr-e360": "push-landisgyr-e360",
    "landisgyr-e450": "push-landisgyr-e450",
    "landisgyr-zmf100": "push-landisgyr-zmf100",
    "aidon": "push-aidon",
    "kaifa-ma304h3e": "push-kaifa",
    "kaifa-ma309": "push-kaifa-mbus",
    "kamstrup-omnipower": "push-kamstrup-omnipower",
    "egd-xt211": "push-sagemcom-xt211",
    "energomera-event": "push",
    "salzburg-netz": "push-kaifa-mbus",
}


@dataclass(frozen=True, slots=True)
class Trust:
    """The public keys that a gateway believes: key id and key, in hex."""

    commands: tuple[str, str]
    receipts: tuple[str, str]
    releases: dict[str, str] = field(default_factory=dict)


def gateways(wishes: Wishes) -> dict[str, tuple[Access, ...]]:
    """Return a site's gateways, each with the ways on which it reads simulated meters."""
    network = (Access.TCP, Access.SHARED, Access.DIAL_IN)
    if wishes.one_gateway:
        readers: dict[str, tuple[Access, ...]] = {LAN: (*network, Access.RS485)}
    else:
        readers = {LAN: network, RS485: (Access.RS485,)}
    return readers | ({PUSH: ()} if wishes.pushes else {})


def gateway_of(wishes: Wishes, meter: MeterPlan) -> str:
    """Return which gateway of a site reads a simulated meter."""
    return next(name for name, ways in gateways(wishes).items() if meter.access in ways)


def write(site: Site, fleet: Fleet, trust: Trust, passwords: dict[str, str]) -> dict[str, str]:
    """Write every gateway's folder; return the public keys (hex) by gateway."""
    public_keys = {}
    for name in gateways(site.wishes):
        folder = site.gateways / name
        folder.mkdir(mode=0o700, exist_ok=True)
        key = folder / "gateway.key"
        if not key.exists():
            Signer.generate().save(key)
        private_file.write(folder / "broker.password", passwords[name])
        document = {
            "gateway": name,
            "state": "state",
            "broker": {
                "host": "127.0.0.1",
                "port": site.ports.broker,
                "username": name,
                "password_file": "broker.password",
            },
            "keys": {
                "signing": "gateway.key",
                "commands": dict([trust.commands]),
                "receipts": dict([trust.receipts]),
                "releases": trust.releases,
            },
            # The simulated homes of a demo may be cut more often than real ones.
            "ceilings": {
                "disconnects_per_hour": 200,
                "disconnects_per_day": 2000,
                "seconds_between": 0.2,
            },
            "schedule": _schedule(site),
            "lines": list(_lines(site, fleet, name)),
            "meters": list(_meters(folder, site, fleet, name)),
        }
        (folder / "gateway.toml").write_text(toml_text.text(document))
        public_keys[name] = Signer.load(key).public_key.hex()
    return public_keys


def _schedule(site: Site) -> dict[str, Any]:
    wishes = site.wishes
    brisk = wishes.capture_period_s < 60
    return {
        "profile_s": None if brisk else 60,
        "snapshot_s": wishes.snapshot_s,
        "events_s": 15,
        "jitter_s": 0.5 if brisk else 2,
        "back_off_s": 1,
        "back_off_max_s": 15,
    }


def _lines(site: Site, fleet: Fleet, gateway: str) -> Iterator[dict[str, Any]]:
    if gateway == PUSH:
        for name in _push_lines():
            yield {"name": name, "kind": "push-serial", "path": site.sim / name}
        return
    for line in fleet.lines:
        if line.access not in gateways(site.wishes)[gateway]:
            continue
        if line.access is Access.RS485:
            yield {"name": line.name, "kind": "serial", "path": site.sim / line.path_name}
        else:
            kind = "dial-in" if line.access is Access.DIAL_IN else "tcp"
            yield {"name": line.name, "kind": kind, "host": line.host, "port": line.port}


def _meters(folder: Path, site: Site, fleet: Fleet, gateway: str) -> Iterator[dict[str, Any]]:
    if gateway == PUSH:
        yield from (_push_meter(folder, each) for each in capture.load_all())
        return
    for meter in fleet.meters:
        if gateway_of(site.wishes, meter) == gateway:
            yield {
                "id": meter.serial,
                "line": meter.line,
                "template": "hesper-sim-hdlc" if meter.physical_address else "hesper-sim",
                "logical_device_name": meter.logical_device_name,
                "server_address": meter.server_address,
                "physical_address": meter.physical_address,
                "system_title": meter.system_title.hex(),
                "keys_file": keys_file(folder, meter),
            }


def keys_file(folder: Path, meter: MeterPlan) -> str:
    """Write a simulated meter's keys below a gateway's folder; return where, relative to it."""
    encryption, authentication = meter.encryption_key.hex(), meter.authentication_key.hex()
    return _keys_file(folder, meter.serial, encryption, authentication)


def _push_meter(folder: Path, each: Capture) -> dict[str, Any]:
    key, authentication = each.encryption_key, each.authentication_key
    return {
        "id": each.meter,
        "line": each.push_line,
        "template": push_template(each.name),
        "system_title": each.identity.get("system_title"),
        "zone": each.meter_zone,
        "keys_file": _keys_file(folder, each.meter, key, authentication) if key else None,
        "authentication_key_unknown": True if key and not authentication else None,
    }


def push_template(capture_name: str) -> str:
    """Return the gateway's template for a captured push."""
    return next(name for start, name in _PUSH_TEMPLATES.items() if capture_name.startswith(start))


def _push_lines() -> list[str]:
    return sorted({each.push_line for each in capture.load_all()})


def _keys_file(folder: Path, meter: str, encryption: str, authentication: str | None) -> str:
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    document = {"encryption_key": encryption, "authentication_key": authentication}
    known = {name: key for name, key in document.items() if key}
    private_file.write(folder / "keys" / f"{meter}.json", json.dumps(known))
    return f"keys/{meter}.json"
