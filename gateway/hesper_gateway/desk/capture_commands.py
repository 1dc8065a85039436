"""`hesper-dlms decode` and `explain`: captured octets, no meter needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from hesper_dlms.axdr import octet_string
from hesper_dlms.deframing import Dropped
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.oneshot import PushedMessage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hesper_gateway.desk import decode as desk_decode
from hesper_gateway.desk.keys import (
    AuthenticationKey,
    EncryptionKey,
    KeysFile,
    KeyUnknown,
    hex_octets,
    receiving_keys,
)
from hesper_gateway.desk.output import JsonLists, folding, print_json
from hesper_gateway.desk.second_opinion import second_opinion
from hesper_gateway.explain import Explainer, to_json
from hesper_gateway.explain.readable import printable, readable

if TYPE_CHECKING:
    from hesper_gateway.desk.readings import Readings

_HEX = "hex:"

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]


class DecodeLink(StrEnum):
    """What carries the captured octets."""

    HDLC = "hdlc"
    MBUS = "mbus"
    WRAPPER = "wrapper"
    RAW = "raw"


def explain(
    octets: Annotated[
        list[str],
        typer.Argument(
            metavar="HEX|FILE|-", help="Octets as hex text, also in a file; - is stdin."
        ),
    ],
    encryption_key: EncryptionKey = None,
    authentication_key: AuthenticationKey = None,
    authentication_key_unknown: KeyUnknown = False,
    keys_file: KeysFile = None,
    system_title: Annotated[
        str | None,
        typer.Option(help="The sender's, hex: for ciphered APDUs that do not carry it."),
    ] = None,
    second: Annotated[
        bool,
        typer.Option(
            "--second-opinion",
            help="Show what gurux's translator says beside it, where that is installed.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show any frame or APDU as an annotated tree; passwords and keys are left out.

    HDLC, M-Bus and wrapper frames are recognised, several may follow each other.
    What is broken is explained as far as it goes. With keys, ciphered APDUs are
    opened. A password that --trace has starred makes its HDLC frame's FCS wrong.

    [dim]hesper-dlms explain C001C100030100010800FF0200[/]
    [dim]hesper-dlms explain 7EA00A00020023219318717E --second-opinion[/]
    [dim]hesper-dlms explain --keys-file k.json capture.hex[/]
    [dim]hesper-dlms read --host 192.168.1.20 --trace clock:0.0.1.0.0.255:time 2> trace.txt
    hesper-dlms explain trace.txt[/]
    """
    keys = receiving_keys(encryption_key, authentication_key, authentication_key_unknown, keys_file)
    sender = None if system_title is None else hex_octets(system_title, "the system title")
    given = _given(octets)
    explainer = Explainer(keys, sender)
    tree = explainer.explain(given)
    shown: object = to_json(tree)
    opinions = second_opinion(explainer.apdus) if second else None
    if as_json:
        print_json(shown if opinions is None else {"hesper": shown, "gurux": opinions})
        return
    console = Console()
    if opinions is None:
        console.print(tree)
        return
    beside = Table("hesper", "gurux", expand=True)
    beside.add_row(tree, "\n\n".join(opinions))
    console.print(beside)


def _given(arguments: list[str]) -> bytes:
    if arguments == ["-"] or _is_file(arguments):
        octets = desk_decode.read_input(arguments[0])
    else:
        no_file = ", and no file has that name" if len(arguments) == 1 else ""
        octets = desk_decode.hex_text(" ".join(arguments), "the argument", no_file)
    if not octets:
        raise LocalError(
            "there is nothing to explain: give octets as hex text, a file, or - for stdin"
        )
    return octets


def _is_file(arguments: list[str]) -> bool:
    try:
        return len(arguments) == 1 and Path(arguments[0]).is_file()
    except OSError:  # a long frame is too long for the name of a file
        return False


def decode(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Hex text; - is stdin.")] = "-",
    link: Annotated[
        DecodeLink | None,
        typer.Option(help="What carries the octets. Default: hdlc, or the template's link."),
    ] = None,
    encryption_key: EncryptionKey = None,
    authentication_key: AuthenticationKey = None,
    authentication_key_unknown: KeyUnknown = False,
    keys_file: KeysFile = None,
    template: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Name and scale the values by a meter template's push layout: adds `readings`.",
        ),
    ] = None,
    binary: Annotated[bool, typer.Option("--binary", help="FILE holds raw octets.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decode captured pushes of a meter.

    Messages whose check sequence is wrong are shown and marked; altered, replayed
    and incomplete ones are dropped with the reason. Values keep their types and
    are not scaled. Hex text may have white space, colons, commas, 0x, the arrows of
    --trace and lines of comment (#).

    Exit code: 0 something was decoded, 1 nothing was, 2 wrong usage.

    [dim]hesper-dlms decode --link hdlc --json capture.hex[/]
    [dim]hesper-dlms decode --link mbus --keys-file k.json - < capture.hex[/]
    [dim]hesper-dlms decode --keys-file k.json --authentication-key-unknown capture.hex[/]
    [dim]hesper-dlms decode --template push-kaifa capture.hex[/]
    """
    keys = receiving_keys(encryption_key, authentication_key, authentication_key_unknown, keys_file)
    readings = None if template is None else _readings_by(template)
    carried = link.value if link else (readings.link if readings else DecodeLink.HDLC.value)
    found = desk_decode.decode(desk_decode.read_input(file, binary), carried, keys)
    count = _as_json(found, readings) if as_json else _as_text(found, readings)
    if not count:
        raise typer.Exit(1)


def _shown(
    found: Iterator[PushedMessage | Dropped], readings: Readings | None
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield each message or drop in JSON, and whether it is a message."""
    for each in found:
        drop = each
        if isinstance(each, PushedMessage):
            try:
                message = each.to_json()
            except DecodeError as error:
                drop = Dropped(each.link.offset, str(error))
            else:
                yield message | (readings.of(each) if readings else {}), True
                continue
        if isinstance(drop, Dropped):
            yield {"offset": drop.offset, "reason": drop.reason}, False


def _readings_by(template: str) -> Readings:
    from hesper_gateway.desk.readings import readings_by  # half of a start; few name a template

    return readings_by(template)


def _as_json(found: Iterator[PushedMessage | Dropped], readings: Readings | None) -> int:
    lists, dropped, count = JsonLists("messages"), [], 0
    for shown, is_message in _shown(found, readings):
        if is_message:
            lists.add(shown)
            count += 1
        else:
            dropped.append(shown)
    lists.end("dropped", dropped)
    return count


def _as_text(found: Iterator[PushedMessage | Dropped], readings: Readings | None) -> int:
    console, count = Console(), 0
    nothing = True
    for shown, is_message in _shown(found, readings):
        nothing = False
        if not is_message:
            console.print(f"[red]dropped[/] at octet {shown['offset']}: {shown['reason']}")
            continue
        count += 1
        values, rows = shown.pop("values"), shown.pop("readings", None)
        facts = json.dumps(shown, ensure_ascii=False)
        console.print(f"[bold]message {count}[/]", facts, highlight=False, markup=True)
        if rows:
            console.print(_table(rows))
        else:
            console.print_json(data=values)
    if nothing:
        console.print("no message found: is --link right?")
    return count


def _table(rows: list[dict[str, Any]]) -> Table:
    table = folding("object", "value")
    for row in rows:
        value = row.get("scaled", _readable(row["value"]))
        text = f"{value} {row.get('unit_symbol', '')}".rstrip()
        table.add_row(row["object"] or "", escape(text))
    return table


def _readable(value: object) -> str:
    """Return a typed value for people: octets as text or time where they are."""
    if isinstance(value, str) and value.startswith(_HEX):
        return readable(octet_string(bytes.fromhex(value.removeprefix(_HEX))))
    return printable(str(value))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decode)
    app.command()(explain)
