"""What a client needs to know to connect: identities, passwords and keys, as JSON fields in hex."""

from __future__ import annotations

from typing import Any

from hesper_sim import key_change, roles, secrets
from hesper_sim.district import District
from hesper_sim.errors import FleetError
from hesper_sim.fleet import CLIENT_TITLE, FleetSettings
from hesper_sim.meter import Meter


def summary(district: District, meter: Meter) -> dict[str, Any]:
    """Return who a meter is and how it is addressed, without any secret."""
    plan, settings = meter.plan, district.fleet.settings
    known = roles.of(plan, settings.roles, settings.seed)
    return {
        "serial": plan.serial,
        "logical_device_name": plan.logical_device_name,
        "system_title": plan.system_title.hex(),
        "kind": plan.kind,
        "line": plan.line,
        "access": plan.access,
        "server_address": plan.server_address,
        "physical_address": plan.physical_address,
        "security_suite": plan.suite,
        "referencing": "short-name" if plan.short_names else "logical-name",
        "clients": {
            str(address): _client(role.authentication.name, role.ciphered)
            for address, role in sorted(known.items())
        },
    }


def of_meter(district: District, meter: Meter) -> dict[str, Any]:
    """Return one meter's identity, clients and keys as they are now."""
    plan, settings = meter.plan, district.fleet.settings
    keys = key_change.keys_of(district, meter)
    found = summary(district, meter) | {
        "password": plan.password,
        "hls_secret": roles.hls_secret(settings.seed, plan).decode(),
        "global_unicast_key": (keys.encryption or b"").hex(),
        "authentication_key": (keys.authentication or b"").hex(),
        "broadcast_key": (keys.broadcast or b"").hex(),
        "master_key": (keys.master or b"").hex(),
    }
    if plan.suite:
        found |= {
            f"{purpose}_public_key": key_change.key_pair(
                settings.seed, plan.serial, purpose, plan.suite
            ).public.octets.hex()
            for purpose in ("signing", "agreement")
        }
    return found


def of_head_end(settings: FleetSettings) -> dict[str, Any]:
    """Return the client's own identity and key pairs, which every meter of the fleet knows."""
    pairs = {}
    for suite in sorted(set(settings.suites) - {0}):
        for purpose in ("signing", "agreement"):
            private = secrets.private_key(settings.seed, secrets.HEAD_END, purpose, suite)
            public = key_change.key_pair(settings.seed, secrets.HEAD_END, purpose, suite).public
            pairs[f"suite_{suite}_{purpose}"] = {
                "private_key": private.hex(),
                "public_key": public.octets.hex(),
            }
    return {"system_title": CLIENT_TITLE.hex()} | pairs


def keys_file(meter: dict[str, Any], head_end: dict[str, Any], client: int) -> dict[str, str]:
    """Return the secrets of one client, as `hesper-dlms --keys-file` reads them.

    Args:
        meter: What `of_meter` says.
        head_end: What `of_head_end` says.
        client: A client address of the meter.

    Raises:
        FleetError: The meter does not know that client.
    """
    authentication = meter["clients"].get(str(client))
    if authentication is None:
        known = ", ".join(meter["clients"])
        raise FleetError(f"{meter['serial']} knows no client {client}, but {known}")
    if authentication == "none":
        return {}
    if authentication == "low":
        return {"password": meter["password"]}
    found = {
        "password": meter["hls_secret"],
        "encryption_key": meter["global_unicast_key"],
        "authentication_key": meter["authentication_key"],
        "master_key": meter["master_key"],
    }
    if suite := meter["security_suite"]:
        for purpose in ("signing", "agreement"):
            found[f"{purpose}_key"] = head_end[f"suite_{suite}_{purpose}"]["private_key"]
            found[f"meter_{purpose}_key"] = meter[f"{purpose}_public_key"]
    return found


def _client(authentication: str, ciphered: bool) -> str:
    name = authentication.lower().replace("_", "-")
    return f"{name}, ciphered" if ciphered else name
