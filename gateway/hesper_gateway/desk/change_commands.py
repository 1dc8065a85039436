"""`hesper-dlms write` and `invoke`: what changes something on a meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, TypeVar

import typer
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemMethod
from hesper_dlms.errors import DlmsError, LocalError, ServiceError
from rich.console import Console

from hesper_gateway.desk.association import check_device_name, desk
from hesper_gateway.desk.capture_commands import AsJson
from hesper_gateway.desk.meter_commands import tell_refusals, trace_of
from hesper_gateway.desk.objects import name
from hesper_gateway.desk.options import Connection, connected
from hesper_gateway.desk.orders import Invocation, Write, parse_invocation, parse_write
from hesper_gateway.desk.output import print_json
from hesper_gateway.explain.readable import readable

_Wanted = TypeVar("_Wanted", Write, Invocation)

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
    """Write attributes of one meter; what may cut a home off or lock us out needs --yes.

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
    with desk(connection, trace_of(connection), repeats=False) as opened:
        check_device_name(opened, device_name)
        ended = _in_turn(
            wanted, lambda each: opened.run(opened.client.set(each.attribute, each.data))
        )
    _tell_writes(list(zip(wanted, ended.orders, strict=True)), as_json)
    _fail_if(ended)


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
    with desk(connection, trace_of(connection), repeats=False) as opened:
        check_device_name(opened, device_name)
        ended = _in_turn(
            wanted, lambda each: opened.run(opened.client.action(each.method, each.data))
        )
    _tell_invocations(list(zip(wanted, ended.orders, strict=True)), as_json)
    _fail_if(ended)


class _Order(NamedTuple):
    """How one order ended: done, not done, or None where nobody knows; then an error says why."""

    done: bool | None
    returned: axdr.Data | None = None
    error: str = ""
    said: str = ""
    """For people, where it is not done."""
    refusal: ServiceError | None = None
    """What the meter said, where it refused."""


_NOT_SENT = _Order(False, None, "not sent", "not sent")


class _Ended(NamedTuple):
    """How all orders ended, and what ended them early."""

    orders: list[_Order]
    failure: DlmsError | None = None


def _in_turn(wanted: Sequence[_Wanted], carry_out: Callable[[_Wanted], axdr.Data | None]) -> _Ended:
    """Carry out orders one after the other; a refusal ends none of those behind it.

    Where the meter falls silent, what was done before still has to be told, and that nobody knows
    of the one under way.
    """
    orders: list[_Order] = []
    for each in wanted:
        try:
            orders.append(_Order(True, carry_out(each)))
        except ServiceError as error:
            orders.append(_Order(False, None, str(error), f"refused: {error}", error))
        except DlmsError as error:
            is_sent = not isinstance(error, LocalError)
            orders.append(_unknown(error) if is_sent else _NOT_SENT)
            return _Ended([*orders, *[_NOT_SENT] * (len(wanted) - len(orders))], error)
    return _Ended(orders)


def _unknown(error: DlmsError) -> _Order:
    said = f"may be done or not, read it before it is repeated: {error}"
    return _Order(None, None, str(error), said)


def _think_twice(orders: Sequence[tuple[str, str | None]], yes: bool) -> None:
    for order, danger in orders:
        if danger is not None and not yes:
            raise LocalError(f"{order}: {danger}. If that is meant, say --yes")


def _named(method: CosemMethod) -> str:
    code = obis.text(method.logical_name)
    return f"{method.class_id}:{code}:{method.method_id}"


def _tell_writes(orders: Sequence[tuple[Write, _Order]], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"object": name(each.attribute), "written": order.done} | _error(order)
                for each, order in orders
            ]
        )
        return
    for each, order in orders:
        said = order.said or f"is now {readable(each.data)}"
        Console().print(f"{name(each.attribute)} {said}", markup=False, highlight=False)


def _tell_invocations(orders: Sequence[tuple[Invocation, _Order]], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "object": _named(each.method),
                    "invoked": order.done,
                    "returned": None if order.returned is None else axdr.plain(order.returned),
                }
                | _error(order)
                for each, order in orders
            ]
        )
        return
    for each, order in orders:
        answer = "" if order.returned is None else f", returned {readable(order.returned)}"
        said = order.said or f"done{answer}"
        Console().print(f"{_named(each.method)} {said}", markup=False, highlight=False)


def _error(order: _Order) -> dict[str, object]:
    return {"error": order.error} if order.error else {}


def _fail_if(ended: _Ended) -> None:
    if ended.failure is not None:
        raise ended.failure
    tell_refusals([each.refusal for each in ended.orders if each.refusal is not None])


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (write, invoke):
        app.command()(command)
