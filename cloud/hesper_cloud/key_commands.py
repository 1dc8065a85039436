"""`hesper-cloud keys …`: keys of meters at rest, for the operator of the authority's machine.

Nothing here ever prints a key.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine, func, select

from hesper_cloud import keys as key_files
from hesper_cloud import rotation
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.authority import MeterKeyRow
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.meter_keys import bringing, layout
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.key_set import BadKeys
from hesper_cloud.meter_keys.layout import BadLayout, Layout
from hesper_cloud.meter_keys.shipment import ShipmentRefused, TransportKey
from hesper_cloud.provision import Databases, ProvisioningError, operator
from hesper_cloud.settings import Settings

keys = typer.Typer(no_args_is_help=True, help="Keys of meters, kept locked.")

_PROMPT = Path("-")
_MOST_SHOWN = 50


@keys.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A manufacturer's shipment file, CSV or XML.")],
    layout_file: Annotated[
        Path | None, typer.Option("--layout", help="How the file names things (TOML).")
    ] = None,
    kek_file: Annotated[
        Path | None,
        typer.Option("--kek-file", help="The transport key in hex, 0600; - asks for it."),
    ] = None,
    replace: Annotated[bool, typer.Option(help="Take the place of keys that are kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    config: Config = DEFAULT,
) -> None:
    """Brings the keys of a shipment, all of a file or nothing; exits with 1 when it is refused."""
    settings = Settings.load(config)
    try:
        how = layout.load(layout_file) if layout_file else Layout()
        found, digest = bringing.read(file, how, _transport_key(kek_file))
        engine, custody = _opened(settings)
        if dry_run:
            brought = bringing.check(engine, custody, found, replace=replace)
        else:
            origin = Origin(operator(), f"{file.name} sha256:{digest}"[:200], datetime.now(UTC))
            brought = bringing.bring(engine, custody, found, origin, replace=replace)
    except ShipmentRefused as refused:
        for fault in refused.faults[:_MOST_SHOWN]:
            typer.echo(str(fault), err=True)
        typer.echo(f"{len(refused.faults)} faults: nothing was imported", err=True)
        raise typer.Exit(1) from None
    except (BadLayout, BadKeys) as error:
        raise ProvisioningError(str(error)) from None
    would = "would be" if dry_run else "are"
    typer.echo(f"{brought.meters} meters, of {brought.new} the keys {would} new here")


@keys.command("show")
def show(
    meter: Annotated[str, typer.Argument(help="A meter's serial number; none: all in sum.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Shows which sets of keys are kept, their state and origin; never a key."""
    engine = open_engine(Settings.load(config).database.authority_url, read_only=True)
    with reading(engine) as session:
        if not meter:
            count = select(MeterKeyRow.state, func.count()).group_by(MeterKeyRow.state)
            for state, number in session.execute(count.order_by(MeterKeyRow.state)):
                typer.echo(f"{state:8} {number}")
            return
        rows = session.scalars(
            select(MeterKeyRow).where(MeterKeyRow.meter == meter).order_by(MeterKeyRow.version)
        ).all()
    if not rows:
        raise ProvisioningError(f"no keys of {meter} are kept")
    for row in rows:
        made = row.made_at.isoformat(timespec="seconds")
        typer.echo(f"{row.version:4} {row.state:8} {made}  {row.holds}  ({row.origin})")


@keys.command("rotate-master")
def rotate_master(
    config: Config = DEFAULT,
    delivery: Annotated[
        bool, typer.Option("--delivery", help="The key of delivery's targets instead.")
    ] = False,
) -> None:
    """Brings all that is locked under a new master key; cut off, the next run goes on."""
    settings = Settings.load(config)
    if delivery:
        key_files.delivery_vault(settings.keys)
    else:
        key_files.vault(settings.keys)
    path = key_files.located(settings.keys, "delivery.key" if delivery else "vault.key")
    is_ours = path.parent == settings.keys
    databases = Databases.open(settings)
    room = rotation.Room(databases.authority)
    if delivery:
        room = rotation.Room(databases.registry, rotation.DELIVERY, "key of delivery")
    now = datetime.now(UTC)
    done = rotation.rotate(databases.authority, path, now, is_ours=is_ours, room=room)
    databases.close()
    typer.echo(f"{done.rows} rows are under master key {done.master}")
    if not done.is_finished:
        typer.echo(f"{path}: the keys after the first are not needed any more; take them out")


def _opened(settings: Settings) -> tuple[Engine, Custody]:
    return Databases.open(settings).authority, Custody(key_files.vault(settings.keys))


def _transport_key(path: Path | None) -> TransportKey | None:
    if path is None:
        return None
    if path == _PROMPT:
        return TransportKey(typer.prompt("Transport key (hex)", hide_input=True))
    if path.stat().st_mode & 0o077:
        raise BadKeys("", f"{path}: others may read it; run: chmod 600 {path}")
    return TransportKey(path.read_text(encoding="ascii", errors="replace"))
