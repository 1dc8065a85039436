"""`hesper-dlms read`, `profile` and `objects`: what a meter on the desk has to say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from hesper_dlms.apdu import EntrySelector, RangeSelector
from hesper_dlms.association import Referencing
from hesper_dlms.classes import registry
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import LocalError, ServiceError
from rich.console import Console
from rich.table import Table

from hesper_gateway.desk import meter as desk_meter
from hesper_gateway.desk.advice import refusal
from hesper_gateway.desk.association import desk
from hesper_gateway.desk.capture_commands import AsJson
from hesper_gateway.desk.objects import name
from hesper_gateway.desk.options import Connection, connected
from hesper_gateway.desk.output import add_row, folding, print_json, print_whole
from hesper_gateway.desk.ports import Trace

_DAY = timedelta(days=1)

From = Annotated[datetime | None, typer.Option("--from", help="UTC; rows from then on.")]
To = Annotated[datetime | None, typer.Option("--to", help="UTC; rows until then.")]
Entries = Annotated[
    str | None,
    typer.Option(metavar="FIRST[-LAST]", help="Rows by number from 1, instead of by time."),
]


@connected
def read(
    connection: Connection,
    objects: Annotated[
        list[str],
        typer.Argument(metavar="CLASS:OBIS:ATTRIBUTE...", help="By number or by name."),
    ],
    from_: From = None,
    to: To = None,
    entries: Entries = None,
    as_json: AsJson = False,
) -> None:
    """Read attributes of one meter; registers come with scaler and unit.

    --from, --to and --entries choose rows of the profile buffers among them.

    [dim]hesper-dlms read --host 192.168.1.20 1:0.0.42.0.0.255:2[/]
    [dim]hesper-dlms read --serial /dev/ttyUSB0 --physical 17 --client 2 \\
    --authentication lls --password 12345678 register:1.0.1.8.0.255:value[/]
    [dim]hesper-dlms read --host 192.168.1.20 --client 1 --authentication gmac \\
    --keys-file k.json clock:0.0.1.0.0.255:time 3:1.0.1.8.0.255:2[/]

    Exit code: 0 all were read, 1 refused or no answer, 2 wrong usage.
    """
    attributes = [registry.parse_attribute(each) for each in objects]
    wanted = _wanted(from_, to, entries)
    with desk(connection, trace_of(connection)) as opened:
        readings = desk_meter.read(opened, attributes, wanted)
    if as_json:
        print_json([reading.to_json() for reading in readings])
    else:
        table = folding("object", "value")
        for reading in readings:
            add_row(table, (name(reading.attribute), reading.to_text()))
        Console().print(table)
    tell_refusals([each.value for each in readings if isinstance(each.value, ServiceError)])


@connected
def profile(
    connection: Connection,
    logical_name: Annotated[str, typer.Argument(metavar="OBIS", help="E.g. 1.0.99.1.0.255.")],
    from_: From = None,
    to: To = None,
    entries: Entries = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="CLASS:OBIS:ATTRIBUTE,…", help="Only the clock and these columns."),
    ] = None,
    zone: Annotated[
        str, typer.Option(help="The meter's zone, for a clock that names no deviation.")
    ] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Read rows of a profile generic, dated and scaled: the last day, unless told otherwise.

    [dim]hesper-dlms profile --host 192.168.1.20 --client 2 --authentication lls \\
    --password 12345678 1.0.99.1.0.255 --from 2026-01-01 --to 2026-01-02[/]
    [dim]hesper-dlms profile --host 192.168.1.20 --client 2 --authentication lls \\
    --password 12345678 1.0.99.1.0.255 --entries 1-10 --columns 3:1.0.1.8.0.255:2[/]
    """
    chosen = [registry.parse_attribute(each) for each in (columns or "").split(",") if each]
    wanted = _wanted(from_, to, entries) or _wanted(datetime.now(UTC) - _DAY, None, None)
    with desk(connection, trace_of(connection)) as opened:
        rows = desk_meter.read_profile(opened, logical_name, wanted, chosen, _zone(zone))
    if as_json:
        print_json(rows.to_json())
        return
    period_s = rows.profile.shape.capture_period_s
    how = f"every {period_s} s" if period_s else "no fixed period"
    table = Table(
        title=f"{logical_name}, {how}",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for heading in rows.headings():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows.to_text():
        add_row(table, row)
    print_whole(table)
    if not rows.profile.captured_at:
        Console(stderr=True, highlight=False, soft_wrap=True).print(_no_rows(wanted))


@connected
def objects(connection: Connection, as_json: AsJson = False) -> None:
    """List the objects that the meter shows to this client (its association view).

    [dim]hesper-dlms objects --host 192.168.1.20 --client 2 --authentication lls \\
    --password 12345678[/]
    """
    short = connection.names is Referencing.SHORT_NAME
    with desk(connection, trace_of(connection)) as opened:
        listed = desk_meter.read_objects(opened, short)
    if as_json:
        print_json([each.to_json() for each in listed])
        return
    table = Table("class", "name", "version", "logical name", *(["base name"] if short else []))
    for each in listed:
        row = [str(each.class_id), each.class_name, str(each.version), each.logical_name]
        table.add_row(*row, *([f"{each.base_name:04X}"] if each.base_name is not None else []))
    print_whole(table)


def tell_refusals(refused: Sequence[ServiceError]) -> None:
    """End with exit code 1 where the meter refused something, and say what can be tried."""
    for tried in dict.fromkeys(filter(None, map(refusal, refused))):
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"try: {tried}", markup=False)
    if refused:
        raise typer.Exit(1)


def _wanted(from_: datetime | None, to: datetime | None, entries: str | None) -> desk_meter.Wanted:
    """Return which rows the options choose; None when they choose none."""
    if entries is not None:
        if from_ is not None or to is not None:
            raise LocalError("choose rows by time or by number, not both")
        first, dash, last = entries.partition("-")
        if not first.isdecimal() or not (last or "0").isdecimal():
            raise LocalError(f"{entries!r} is not FIRST or FIRST-LAST, such as 1-10")
        begin, end_entry = int(first), int(last or 0) if dash else int(first)
        if end_entry and end_entry < begin:
            raise LocalError(f"{entries!r} ends before it begins")
        return EntrySelector(begin, end_entry)
    if from_ is None and to is None:
        return None
    end = _aware(to) if to else datetime.now(UTC)
    start = _aware(from_) if from_ else end - _DAY
    if start > end:
        raise LocalError(f"no rows lie from {start:%F %T} to {end:%F %T} (UTC): it ends before")
    return RangeSelector(CosemDateTime.from_datetime(start), CosemDateTime.from_datetime(end))


def _no_rows(wanted: desk_meter.Wanted) -> str:
    """Say what was asked for in vain, and how to ask for other rows."""
    if isinstance(wanted, RangeSelector):
        start, end = wanted.from_.local(), wanted.to.local()
        lay = f"no rows from {start:%F %T} to {end:%F %T} (UTC); "
        return lay + "others: --from and --to, or the first ten: --entries 1-10"
    return "no rows of these numbers; those of a time: --from and --to"


def _zone(named: str) -> ZoneInfo:
    from hesper_gateway.templates.model import zone_named  # templates load slowly; few name a zone

    try:
        return zone_named(named)
    except ValueError as error:
        raise LocalError(str(error)) from None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def trace_of(connection: Connection) -> Trace | None:
    """Return what shows octets on stderr, where that is wanted; a password in them is starred."""
    if not connection.trace:
        return None
    console = Console(stderr=True, highlight=False)
    password = (connection.secret("password") or "").encode().hex(" ")

    def show(direction: str, octets: bytes) -> None:
        text = octets.hex(" ")
        if password:
            text = text.replace(password, re.sub(r"[0-9a-f]", "*", password))
        console.print(f"{direction} {text}", markup=False, soft_wrap=True)

    return show


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (read, profile, objects):
        app.command()(command)
