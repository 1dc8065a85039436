"""The head end's files for a site: configuration, keys, databases, and who is who."""

import secrets
from collections.abc import Iterator

from hesper_cloud import keys, provision
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from hesper_contracts.signing import Signer
from hesper_sim import capture
from hesper_sim.fleet import Fleet

from hesper_lab import demo_assets, gateway_files, private_file, toml_text
from hesper_lab.gateway_files import Trust
from hesper_lab.site import Site

ACCOUNTS = {
    "ingest": "hes.ingest",
    "authority": "hes.authority",
    "images": "hes.images",
    "tunnel": "hes.tunnel",
}
RELEASE_KEYS = ("first.key", "second.key")
_FIRST = ("Lena", "Jonas", "Amina", "Pavel", "Mirela", "Tomás", "Ingrid", "Kofi", "Yara", "Émile")
_LAST = ("Mwangi", "Weber", "Novak", "Silva", "Okafor", "Lindqvist", "Rossi", "Haddad", "Kovač")
_STREETS = ("Seestrasse", "Mill Lane", "Rua Verde", "Lindenweg", "Harbour Road", "Via Nuova")
_AREAS = ("North", "Harbour", "Old Town", "Hillside")
_LIFE_SUPPORT_EVERY = 29


def write(site: Site, passwords: dict[str, str]) -> Settings:
    """Write cloud.toml and its password files; return the settings it loads as."""
    for role, username in ACCOUNTS.items():
        private_file.write(site.cloud / f"{role}.password", passwords[username])
    period = site.wishes.capture_period_s
    document = {
        "state": "state",
        "broker": {
            "host": "127.0.0.1",
            "port": site.ports.broker,
            **{
                role: {"username": username, "password_file": f"{role}.password"}
                for role, username in ACCOUNTS.items()
            },
        },
        "store": {
            "kind": site.wishes.store,
            "influx": {"url": f"http://127.0.0.1:{site.ports.influx}", "database": "hesper"},
        },
        "firmware": {
            "release_keys": dict(_named(each) for each in release_signers(site)),
            "left_free_mb": 16,
        },
        "web": {
            "host": site.wishes.console_host,
            "port": site.ports.web,
            "limits": {"per_second": 0, "sockets": 0},  # one machine asks here for all the others
        },
        "rules": {"default_capture_period_s": period, "silent_after_s": max(60, period // 10)},
    }
    path = site.cloud / "cloud.toml"
    path.write_text(toml_text.text(document))
    return Settings.load(path)


def initialise(settings: Settings) -> Trust:
    """Make keys and databases; return the public keys that gateways shall believe."""
    provision.initialise(settings, "demo")
    commands = keys.command_signer(settings.keys)
    receipts = keys.receipt_signer(settings.keys)
    return Trust(_named(commands), _named(receipts), settings.firmware.release_keys)


def release_signers(site: Site) -> list[Signer]:
    """Return the two people who release firmware for a site; their keys are made at first use."""
    folder = site.cloud / "releases"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in RELEASE_KEYS:
        if not (folder / name).exists():
            Signer.generate().save(folder / name)
    return [Signer.load(folder / name) for name in RELEASE_KEYS]


def enter(site: Site, settings: Settings, fleet: Fleet, public_keys: dict[str, str]) -> None:
    """Put accounts, gateways and meters on record."""
    databases = Databases.open(settings)
    try:
        for account in site.accounts:
            provision.add_user(
                databases.authority, account.username, account.role, account.password
            )
        for gateway, public_key in public_keys.items():
            provision.add_gateway(databases, gateway, public_key)
        pushed = _push_papers() if site.wishes.pushes else ()
        papers = [*_papers(site, fleet), *pushed]
        commission(databases, papers)
        feeders = {meter.serial: meter.feeder for meter in fleet.meters}
        demo_assets.enter(databases, papers, list(public_keys), feeders)
    finally:
        databases.close()


def broker_passwords(site: Site) -> dict[str, str]:
    """Return a fresh password for every account on a site's broker."""
    names = (*gateway_files.gateways(site.wishes), *ACCOUNTS.values())
    return {name: secrets.token_urlsafe(24) for name in names}


def _named(signer: Signer) -> tuple[str, str]:
    return signer.key_id, signer.public_key.hex()


def _papers(site: Site, fleet: Fleet) -> Iterator[MeterPaper]:
    for index, meter in enumerate(fleet.meters):
        yield MeterPaper(
            id=meter.serial,
            gateway=gateway_files.gateway_of(site.wishes, meter),
            logical_device_name=meter.logical_device_name,
            customer=f"{_FIRST[index % len(_FIRST)]} {_LAST[index % len(_LAST)]}",
            address=f"{_STREETS[index % len(_STREETS)]} {index + 1}",
            area=_AREAS[meter.feeder % len(_AREAS)],
            life_support=index % _LIFE_SUPPORT_EVERY == _LIFE_SUPPORT_EVERY - 1,
            capture_period_s=site.wishes.capture_period_s,
        )


def _push_papers() -> Iterator[MeterPaper]:
    for each in capture.load_all():
        yield MeterPaper(
            id=each.meter,
            gateway=gateway_files.PUSH,
            model=each.description.split(",")[0],
            template=gateway_files.push_template(each.name),
            area="Replayed captures",
        )
