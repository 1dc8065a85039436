"""``hesper-cloud person export`` and ``person erase``: for the operator of the machine."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import DONE, UNENDED, LongJob
from hesper_cloud.erasure.commands import awaited, done_here, told
from hesper_cloud.long_jobs import asking
from hesper_cloud.privacy import erasing
from hesper_cloud.privacy.collecting import Kept, write_all
from hesper_cloud.privacy.exporting import KIND, file_of, looked
from hesper_cloud.privacy.whose import customer_of
from hesper_cloud.provision import Databases, ProvisioningError, note, operator
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import StoreUnavailable

person = typer.Typer(no_args_is_help=True, help="One person's data: given out, or erased.")
_PATIENCE_S = 3600.0
_LOOK_EVERY_S = 0.2


@person.command("export")
def export(
    account: Annotated[str, typer.Argument(help="The customer's account number.")],
    out: Annotated[Path, typer.Option(help="The zip file to write; it must not be there yet.")],
    config: Config = DEFAULT,
) -> None:
    """Writes all that is kept about a person into a zip of JSON and CSV files.

    A head end that runs is asked to do it. Audited, and written down as a look at the data.
    """
    if out.exists():
        raise typer.BadParameter(f"{out} is there already", param_hint="--out")
    settings = Settings.load(config)
    databases = Databases.open(settings)
    try:
        with reading(databases.registry) as session:
            customer_id = customer_of(session, account).id
        with writing(databases.authority) as session:
            note(session, "person.export", f"customer {customer_id}", None, "all that is kept")
        counts = _here(settings, databases, customer_id, out)
        if counts is None:
            counts = _there(settings, databases, customer_id, out)
    finally:
        databases.close()
    listed = ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()) if count)
    typer.echo(f"{out}: {listed or 'the record alone'}")


@person.command("erase")
def erase(
    account: Annotated[str, typer.Argument(help="The customer's account number.")],
    reason: Annotated[
        str, typer.Option(help="Why, without naming the person: it stays in the audit log.")
    ],
    config: Config = DEFAULT,
) -> None:
    """Erases a person: the record, and all that the person's meters measured.

    Interrupted, it goes on at the head end's next start or when asked again.
    """
    settings = Settings.load(config)
    databases = Databases.open(settings)
    try:
        ordered = erasing.order(databases, settings.state, account, reason, datetime.now(UTC))
        if ordered.orders and not done_here(settings, databases):
            typer.echo("the head end runs and was asked …", err=True)
        lines = [line for number in ordered.orders for line in told(awaited(databases, number))]
    finally:
        databases.close()
    for line in dict.fromkeys(lines):
        typer.echo(line)
    typer.echo(f"customer {ordered.customer} is erased; the audit log keeps this number alone")
    for kind, count in ordered.files.items():
        if count:
            typer.echo(f"{kind} that named the person and are removed: {count}")


def _here(
    settings: Settings, databases: Databases, customer_id: int, out: Path
) -> dict[str, int] | None:
    """Writes the file in this process; None when another holds the store."""
    try:
        store = open_store(settings)
    except StoreUnavailable:
        return None
    at = datetime.now(UTC)
    try:
        kept = Kept(databases.registry, databases.authority, store)
        counts = write_all(kept, customer_id, out, at)
    finally:
        store.close()
    with writing(databases.registry) as session:
        looked(session, customer_id, operator(), at)
    return counts


def _there(settings: Settings, databases: Databases, customer_id: int, out: Path) -> dict[str, int]:
    """Has the head end that runs write the file, and fetches it."""
    wish = asking.Wish(
        KIND, f"all data of customer {customer_id}", operator(), {"customer": customer_id}
    )
    with writing(databases.registry) as session:
        number = asking.ask(session, wish, datetime.now(UTC))
    typer.echo(f"job {number}: the head end runs and was asked …", err=True)
    job = _ended(databases, number)
    if job.state != DONE:
        raise ProvisioningError(f"job {number} is {job.state}: {job.problem}")
    made = file_of(settings.state, number)
    shutil.copyfile(made, out)
    out.chmod(0o600)
    made.unlink()
    return dict(job.result or {})


def _ended(databases: Databases, number: int) -> LongJob:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with reading(databases.registry) as session:
            job = session.get_one(LongJob, number)
        if job.state not in UNENDED:
            return job
        time.sleep(_LOOK_EVERY_S)
    raise ProvisioningError(f"job {number} is not done within an hour; it goes on by itself")
