"""`hesper-dlms write` and `invoke`: what changes something on a meter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemMethod
from hesper_dlms.errors import LocalError, ServiceError
from rich.console import Console

from hesper_gateway.desk.association import check_device_name, desk
from hesper_gateway.desk.capture_commands import AsJson
from hesper_gateway.desk.meter_commands import trace_of
from hesper_gateway.desk.objects import name
from hesper_gateway.desk.options import Connection, connected
from hesper_gateway.desk.orders import Invocation, Write, parse_invocation, parse_write
from hesper_gateway.desk.output import print_json
from hesper_gateway.explain.readable import readable

TypeName = Annotated[
    str | None, typer.Option("--type", help="Type of the values, e.g. double-long-unsigned.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it, whatever it is.")]
DeviceName = Annotated[
    str | None,
    typer.Option(help="Refuse unless the meter calls itself so (0.0.42.0.0.255)."),
]


@connected
def write(
    connection: Connection,
    orders: Annotated[
        list[str],
        typer.Argument(metavar="CLASS:OBIS:ATTRIBUTE=VALUE...", help="What to write."),
    ],
    type_name: TypeName = None,
    device_name: DeviceName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Write attributes of one meter.

    VALUE: `now`, a number, true, null or "text" take the attribute's own type
    where that is known. Otherwise TYPE:VALUE (double-long-unsigned:5,
    octet-string:0102ff, visible-string:abc, date-time:2026-01-31T12:00+01:00,
    structure(unsigned:1, enum:2), octet-string:now), --type TYPE, or
    axdr:0600000005 for the encoded octets.

    [dim]hesper-dlms write --host 192.168.1.20 --client 1 --authentication gmac \\
    --keys-file k.json clock:0.0.1.0.0.255:time=now[/]
    [dim]hesper-dlms write --host 192.168.1.20 --client 1 --authentication gmac \\
    --keys-file k.json 1:0.0.96.50.1.255:2=unsigned:7[/]
    """
    wanted = [parse_write(each, type_name) for each in orders]
    _think_twice([(name(each.attribute), each.danger) for each in wanted], yes)
    done: list[tuple[Write, str | None]] = []
    with desk(connection, trace_of(connection)) as opened:
        check_device_name(opened, device_name)
        for each in wanted:
            try:
                opened.run(opened.client.set(each.attribute, each.data))
                done.append((each, None))
            except ServiceError as error:
                done.append((each, str(error)))
    _tell_writes(done, as_json)


@connected
def invoke(
    connection: Connection,
    orders: Annotated[
        list[str],
        typer.Argument(metavar="CLASS:OBIS:METHOD[=VALUE]...", help="What to invoke."),
    ],
    type_name: TypeName = None,
    device_name: DeviceName = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Invoke methods of one meter; what may cut a home off or lock us out needs --yes.

    Values as with `write`; without one, integer 0 is sent.

    [dim]hesper-dlms invoke --host 192.168.1.20 --client 1 --authentication gmac \\
    --keys-file k.json clock:0.0.1.0.0.255:adjust_to_quarter[/]
    [dim]hesper-dlms invoke --host 192.168.1.20 --client 1 --authentication gmac \\
    --keys-file k.json --device-name HXE001 --yes \\
    disconnect_control:0.0.96.3.10.255:remote_disconnect[/]
    """
    wanted = [parse_invocation(each, type_name) for each in orders]
    _think_twice([(_named(each.method), each.danger) for each in wanted], yes)
    done: list[tuple[Invocation, axdr.Data | None, str | None]] = []
    with desk(connection, trace_of(connection)) as opened:
        check_device_name(opened, device_name)
        for each in wanted:
            try:
                done.append((each, opened.run(opened.client.action(each.method, each.data)), None))
            except ServiceError as error:
                done.append((each, None, str(error)))
    _tell_invocations(done, as_json)


def _think_twice(orders: Sequence[tuple[str, str | None]], yes: bool) -> None:
    for order, danger in orders:
        if danger is not None and not yes:
            raise LocalError(f"{order}: {danger}. If that is meant, say --yes")


def _named(method: CosemMethod) -> str:
    code = obis.text(method.logical_name)
    return f"{method.class_id}:{code}:{method.method_id}"


def _tell_writes(done: Sequence[tuple[Write, str | None]], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"object": name(each.attribute), "written": error is None} | _error(error)
                for each, error in done
            ]
        )
    else:
        for each, error in done:
            said = f"refused: {error}" if error else f"is now {readable(each.data)}"
            Console().print(f"{name(each.attribute)} {said}", markup=False, highlight=False)
    _fail_if(error for _, error in done)


def _tell_invocations(
    done: Sequence[tuple[Invocation, axdr.Data | None, str | None]], as_json: bool
) -> None:
    if as_json:
        print_json(
            [
                {
                    "object": _named(each.method),
                    "invoked": error is None,
                    "returned": None if returned is None else axdr.plain(returned),
                }
                | _error(error)
                for each, returned, error in done
            ]
        )
    else:
        for each, returned, error in done:
            answer = "" if returned is None else f", returned {readable(returned)}"
            said = f"refused: {error}" if error else f"done{answer}"
            Console().print(f"{_named(each.method)} {said}", markup=False, highlight=False)
    _fail_if(error for _, _, error in done)


def _error(error: str | None) -> dict[str, object]:
    return {} if error is None else {"error": error}


def _fail_if(errors: Iterable[str | None]) -> None:
    if any(errors):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (write, invoke):
        app.command()(command)
