"""``hesper-cloud meter erase``."""

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.registry import Erasure
from hesper_cloud.erasure import ordering
from hesper_cloud.erasure.carrying_out import Erasures
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import Databases, ProvisioningError
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import StoreUnavailable

_PATIENCE_S = 3600.0
_LOOK_EVERY_S = 0.5
_ELSEWHERE = (
    "not reached from here: backups and exports that were made, what others took from the change"
    " feed or MQTT, commands with their results, the audit log, and the gateway: what its outbox"
    " still holds, and what it reads from now on, is stored again"
)


def erase(
    meter_id: str,
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit log.")],
    forget_customer: Annotated[
        bool, typer.Option("--forget-customer", help="Clear the customer's name and address too.")
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Erases what is stored of a meter; a head end that runs is asked to do it.

    The meter stays in the registry. Interrupted, it goes on at the next start or when asked again.
    """
    settings = Settings.load(config)
    databases = Databases.open(settings)
    try:
        number = ordering.order(
            databases, meter_id, reason, datetime.now(UTC), forget_customer=forget_customer
        )
        if not done_here(settings, databases):
            typer.echo(f"order {number}: the head end runs and was asked …", err=True)
        done = awaited(databases, number)
    finally:
        databases.close()
    for line in told(done):
        typer.echo(line)


def done_here(settings: Settings, databases: Databases) -> bool:
    """Carries all orders out in this process; says no when another holds book or store."""
    try:
        book = EnergyBook(settings.energy_file)
    except StoreUnavailable:
        return False
    try:
        store = open_store(settings)
    except StoreUnavailable:
        book.close()
        return False
    sources = Sources(
        settings,
        databases.registry,
        databases.authority,
        store,
        LatestValues(),
        lambda: datetime.now(UTC),
    )
    try:
        erasures = Erasures(sources, book)
        erasures.begin()
        erasures.finish()
        while erasures.leave_archive():
            pass
    finally:
        store.close()
        book.close()
    return True


def awaited(databases: Databases, number: int) -> Erasure:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        done = ordering.outcome(databases.registry, number)
        if done is not None:
            return done
        time.sleep(_LOOK_EVERY_S)
    raise ProvisioningError(
        f"order {number} stands: the head end has not done it within an hour; its jobs say why"
    )


def told(done: Erasure) -> list[str]:
    """Returns what an order came to, line by line."""
    counts = {kind: n for kind, n in done.removed.items() if n is None or isinstance(n, int)}
    listed = ", ".join(
        f"{kind}: {'all, uncounted' if n is None else n}" for kind, n in counts.items() if n != 0
    )
    when = ordering.told((done.from_at, done.to_at))
    lines = [
        f"{done.meter} is erased{when}: {listed}"
        if listed
        else f"nothing was left of {done.meter}{when}"
    ]
    if done.forget_customer:
        lines.append("name and address of its customer are forgotten")
    lines += [
        f"still there: customer {number}, who has other meters"
        for number in done.removed.get("customer kept", ())
    ]
    lines += [
        f"still there: dead letter {number} names it beside others, or cannot be read"
        for number in done.removed.get("naming", ())
    ]
    lines += [
        f"still there: {name} was damaged and set aside, and may hold readings of it"
        for name in done.removed.get("aside", ())
    ]
    return [*lines, _ELSEWHERE]
