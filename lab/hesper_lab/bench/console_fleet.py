"""The fleet of the console benchmark: meters in the registry, accounts, and their sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from hesper_cloud import provision
from hesper_cloud.db.registry import Meter
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from playwright.sync_api import Browser
from sqlalchemy import insert

from hesper_lab import screenshots
from hesper_lab.bench import console_seen
from hesper_lab.bench.head_end import HeadEnd

PEOPLE: Final = 20  # accounts that share the simulated clients
_AT_ONCE: Final = 5_000
_EVERY: Final = 97
_PASSWORD: Final = "looking-for-a-benchmark"  # noqa: S105 - an account that lives for a minute
_MODELS: Final = ("Hesper SIM-3P", "Kamstrup OMNIPOWER", "Landis+Gyr E450")


def fill(head_end: HeadEnd, meters: int) -> list[str]:
    """Write meters and accounts into the databases of a head end that runs; return some meters."""
    databases = Databases.open(Settings.load(head_end.site.cloud / "cloud.toml"))
    for number in range(PEOPLE):
        provision.add_user(databases.authority, f"bench-{number}", "operator", _PASSWORD)
    now = datetime.now(UTC)
    for start in range(0, meters, _AT_ONCE):
        some = [_meter(number, now) for number in range(start, min(start + _AT_ONCE, meters))]
        with databases.registry.begin() as connection:
            connection.execute(insert(Meter), some)
    databases.close()
    return [_serial(number) for number in range(0, meters, _EVERY)]


def _meter(number: int, now: datetime) -> dict[str, Any]:
    return {
        "id": _serial(number),
        "state": "commissioned",
        "customer": f"Customer {number * 7919 % 100_000:05d}",
        "address": f"Street {number % 900}, House {number % 97}",
        "area": f"A-{number % 40:02d}",
        "model": _MODELS[number % len(_MODELS)],
        "firmware": "2.4.1" if number % 9 else "2.3.9",
        "relay_output": number % 50 != 0,
        "relay_confirmed_at": now,
        "first_seen_at": now - timedelta(days=90),
        "last_contact_at": now - timedelta(hours=30 if number % 100 == 0 else 0),
        "capture_period_s": 86_400,
    }


def _serial(number: int) -> str:
    return f"HES{10_000_000 + number * 37}"


def cookies(url: str) -> list[str]:
    """Return a session of each account; clients share them, as windows of one person do.

    Raises:
        RuntimeError: somebody was not let in.
    """
    found = []
    for number in range(PEOPLE):
        credentials = {"username": f"bench-{number}", "password": _PASSWORD}
        answer = httpx.post(f"{url}/login", data=credentials, timeout=60)
        if "set-cookie" not in answer.headers:
            raise RuntimeError(f"bench-{number} was not let in: {answer.status_code} {answer.text}")
        found.append(answer.headers["set-cookie"].partition(";")[0])
    return found


def signed_in(browser: Browser, url: str) -> Any:
    """Return what a browser keeps of somebody who has signed in."""
    context = browser.new_context(viewport=console_seen.SIZE)
    context.set_default_timeout(screenshots.PATIENCE_MS)
    page = context.new_page()
    screenshots.sign_in(page, url, "bench-0", _PASSWORD)
    screenshots.settle(page)
    state: Any = context.storage_state()
    context.close()
    return state
