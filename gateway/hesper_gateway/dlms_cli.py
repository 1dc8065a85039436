"""`hesper-dlms`: meters and captured frames on an engineer's desk.

Exit codes: 0 done, 1 nothing decoded or the meter refused, 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer
from hesper_dlms.errors import DlmsError, LocalError
from hesper_dlms.security import SecuritySettings
from rich.console import Console
from rich.table import Table

from hesper_gateway import dlms_decode, dlms_explain, dlms_meter
from hesper_gateway.dlms_desk import desk
from hesper_gateway.dlms_objects import parse_attribute
from hesper_gateway.dlms_options import Connection, connected, hex_octets

app = typer.Typer(
    name="hesper-dlms",
    help="Read a DLMS/COSEM meter, or take captured frames apart.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
EncryptionKey = Annotated[
    str | None,
    typer.Option(envvar="HESPER_DLMS_ENCRYPTION_KEY", help="Global encryption key, hex."),
]
AuthenticationKey = Annotated[
    str | None,
    typer.Option(envvar="HESPER_DLMS_AUTHENTICATION_KEY", help="Authentication key, hex."),
]
KeyUnknown = Annotated[
    bool,
    typer.Option(
        "--authentication-key-unknown",
        help="Nobody gave you that key: decode without verifying, and say so.",
    ),
]


class DecodeLink(StrEnum):
    """What carries the captured octets."""

    HDLC = "hdlc"
    MBUS = "mbus"
    WRAPPER = "wrapper"
    RAW = "raw"


@app.command()
def explain(
    octets: Annotated[list[str], typer.Argument(metavar="HEX", help="Octets; spaces are fine.")],
    encryption_key: EncryptionKey = None,
    authentication_key: AuthenticationKey = None,
    authentication_key_unknown: KeyUnknown = False,
    system_title: Annotated[
        str | None,
        typer.Option(help="The sender's, hex: for ciphered APDUs that do not carry it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show any frame or APDU as an annotated tree.

    [dim]hesper-dlms explain C001C100030100010800FF0200[/]
    """
    keys = _keys(encryption_key, authentication_key, authentication_key_unknown)
    sender = None if system_title is None else hex_octets(system_title, "the system title")
    given = hex_octets("".join(octets), "the argument")
    tree = dlms_explain.Explainer(keys, sender).explain(given)
    if as_json:
        _print_json(dlms_explain.to_json(tree))
    else:
        Console().print(tree)


@app.command()
def decode(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Hex text; - is stdin.")] = "-",
    link: Annotated[DecodeLink, typer.Option(help="What carries the octets.")] = DecodeLink.HDLC,
    encryption_key: EncryptionKey = None,
    authentication_key: AuthenticationKey = None,
    authentication_key_unknown: KeyUnknown = False,
    binary: Annotated[bool, typer.Option("--binary", help="FILE holds raw octets.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decode captured pushes of a meter.

    Messages whose check sequence is wrong are shown and marked; altered, replayed and incomplete
    ones are dropped with the reason. Exit code 1 when nothing could be decoded.

    [dim]hesper-dlms decode --link hdlc --json capture.hex[/]
    """
    keys = _keys(encryption_key, authentication_key, authentication_key_unknown)
    found = list(dlms_decode.decode(dlms_decode.read_input(file, binary), link.value, keys))
    messages = [shown for shown, decoded in found if decoded]
    dropped = [shown for shown, decoded in found if not decoded]
    if as_json:
        _print_json({"messages": messages, "dropped": dropped})
    else:
        _print_messages(messages, dropped)
    if not messages:
        raise typer.Exit(1)


@app.command()
@connected
def read(
    connection: Connection,
    objects: Annotated[
        list[str], typer.Argument(metavar="CLASS:OBIS:ATTRIBUTE...", help="What to read.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read attributes of one meter; registers come with scaler and unit.

    [dim]hesper-dlms read --host 192.168.1.20 1:0.0.42.0.0.255:2[/]
    [dim]hesper-dlms read --serial /dev/ttyUSB0 --physical 17 --client 2 --authentication lls
    --password 12345678 3:1.0.1.8.0.255:2[/]
    [dim]hesper-dlms read --host 192.168.1.20 --client 1 --authentication gmac --keys-file k.json
    8:0.0.1.0.0.255:2[/]
    """
    attributes = [parse_attribute(each) for each in objects]
    with desk(connection, _trace(connection)) as opened:
        readings = dlms_meter.read(opened, attributes)
    if as_json:
        _print_json([reading.to_json() for reading in readings])
        return
    table = Table("object", "value")
    for reading in readings:
        table.add_row(dlms_meter.name(reading.attribute), reading.to_text())
    Console().print(table)


@app.command()
@connected
def profile(
    connection: Connection,
    logical_name: Annotated[str, typer.Argument(metavar="OBIS", help="E.g. 1.0.99.1.0.255.")],
    from_: Annotated[
        datetime | None, typer.Option("--from", help="UTC. Default: a day before --to.")
    ] = None,
    to: Annotated[datetime | None, typer.Option("--to", help="UTC. Default: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the rows of a profile generic between two times.

    [dim]hesper-dlms profile --host 192.168.1.20 1.0.99.1.0.255 --from 2026-01-01[/]
    """
    end = datetime.now(UTC) if to is None else to.replace(tzinfo=UTC)
    start = end - timedelta(days=1) if from_ is None else from_.replace(tzinfo=UTC)
    with desk(connection, _trace(connection)) as opened:
        rows = dlms_meter.read_profile(opened, logical_name, start, end)
    if as_json:
        _print_json(rows.to_json())
        return
    table = Table(*rows.columns, title=f"{logical_name}, every {rows.capture_period_s} s")
    for row in rows.to_text():
        table.add_row(*row)
    Console().print(table)


@app.command()
@connected
def objects(connection: Connection, as_json: AsJson = False) -> None:
    """List the objects that the meter shows to this client (its association view).

    [dim]hesper-dlms objects --host 192.168.1.20 --client 2 --authentication lls --password …[/]
    """
    with desk(connection, _trace(connection)) as opened:
        listed = dlms_meter.read_objects(opened)
    if as_json:
        _print_json([each._asdict() for each in listed])
        return
    table = Table("class", "version", "logical name")
    for each in listed:
        table.add_row(str(each.class_id), str(each.version), each.logical_name)
    Console().print(table)


def _keys(
    encryption_key: str | None, authentication_key: str | None, unknown: bool
) -> SecuritySettings | None:
    if encryption_key is None:
        if authentication_key is not None or unknown:
            raise LocalError("an authentication key is of no use without --encryption-key")
        return None
    authentication = None
    if authentication_key is not None:
        authentication = hex_octets(authentication_key, "the authentication key")
    encryption = hex_octets(encryption_key, "the encryption key")
    return SecuritySettings(
        2 if len(encryption) == 32 else 0,
        encryption,
        authentication,
        authentication_key_unknown=unknown,
        any_suite=True,
    )


def _trace(connection: Connection) -> dlms_meter.Trace | None:
    if not connection.trace:
        return None
    console = Console(stderr=True, highlight=False)
    return lambda direction, octets: console.print(f"{direction} {octets.hex(' ')}", markup=False)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _print_messages(messages: list[dict[str, object]], dropped: list[dict[str, object]]) -> None:
    console = Console()
    for number, message in enumerate(messages, start=1):
        values = message.pop("values")
        facts = json.dumps(message, ensure_ascii=False)
        console.print(f"[bold]message {number}[/]", facts, highlight=False)
        console.print_json(data=values)
    for each in dropped:
        console.print(f"[red]dropped[/] at octet {each['offset']}: {each['reason']}")
    if not messages and not dropped:
        console.print("no message found: is --link right?")


def main() -> None:
    """Run the command line; errors of the stack become a line of text and an exit code."""
    try:
        app()
    except LocalError as error:
        Console(stderr=True).print(f"[red]usage:[/] {error}", markup=True, highlight=False)
        sys.exit(2)
    except DlmsError as error:
        Console(stderr=True).print(f"[red]failed:[/] {error}", markup=True, highlight=False)
        sys.exit(1)
