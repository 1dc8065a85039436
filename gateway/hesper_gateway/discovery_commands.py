"""`hesper-gateway discover`: which meters answer on a line, and what gateway.toml lacks of them.

Exit codes: 0 somebody answers, 1 nobody does, 2 wrong usage, 3 the line is in use or cannot be
opened.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from hesper_gateway.cli_options import DEFAULT, AsJson, ConfigPath, give_up
from hesper_gateway.cli_options import settings as settings_of
from hesper_gateway.config import GatewayConfig, LineConfig
from hesper_gateway.database import DatabaseError, DatabaseInUse
from hesper_gateway.errors import ConfigError, LineDown, LineInUse

_ONLY_ONE = "1"
_HIGHEST = 0x3FFF


class LinkKind(StrEnum):
    """How APDUs are framed."""

    HDLC = "hdlc"
    WRAPPER = "wrapper"


def _numbers(text: str) -> list[int]:
    """Return the numbers of `1,16-20`.

    Raises:
        typer.BadParameter: it is something else.
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        try:
            numbers = range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise typer.BadParameter(f"{part!r} is no number or range") from error
        if not numbers:
            raise typer.BadParameter(f"{part!r} ends before it begins")
        if numbers[-1] > _HIGHEST:
            raise typer.BadParameter(f"addresses lie between 0 and {_HIGHEST}")
        found += numbers
    if not found:
        raise typer.BadParameter(f"{text!r} is no number or range")
    return found


def discover(
    line: Annotated[str, typer.Argument(metavar="LINE", help="Its name in gateway.toml.")],
    config: ConfigPath = DEFAULT,
    link: Annotated[
        list[LinkKind] | None, typer.Option(help="hdlc or wrapper; both where the line has both.")
    ] = None,
    logical: Annotated[
        str, typer.Option(help="Logical devices, or wrapper ports: 1 or 1,16-20.")
    ] = _ONLY_ONE,
    physical: Annotated[str, typer.Option(help="Physical HDLC addresses.")] = "16-127",
    address_octets: Annotated[
        list[int] | None, typer.Option(help="Form of HDLC addresses: 1, 2 or 4; else the shortest.")
    ] = None,
    speed: Annotated[
        list[int] | None, typer.Option(help="Baud of a serial line; else the line's own.")
    ] = None,
    mode_e_address: Annotated[
        list[str] | None, typer.Option(help="Signed on with, on a line of mode E.")
    ] = None,
    silence: Annotated[
        float, typer.Option(min=0.05, max=60, help="Seconds until nobody is there.")
    ] = 0.5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write there what gateway.toml lacks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every address of a line who is there; nothing is written to a meter.

    Asks as the public client, which has no secret. The agent must not be running.
    """
    from hesper_gateway.discovery import Wanted, report  # not loaded by the agent

    settings = settings_of(config)
    wanted = Wanted(
        links=tuple(each.value for each in link or ()),
        servers=_numbers(logical),
        physicals=_numbers(physical),
        address_octets=_forms(address_octets),
        speeds=tuple(speed or ()),
        mode_e_addresses=tuple(mode_e_address or ("",)),
        silence_s=silence,
    )
    try:
        here = _line(settings, line, config)
        if output is not None and output.exists():
            raise ConfigError(f"{output} exists already")
        if output is not None and not output.parent.is_dir():
            raise ConfigError(f"{output.parent} is no folder; make it first")
        found = report.search(settings, here, wanted, quiet=as_json)
    except ConfigError as error:
        give_up(error, 2)
    except DatabaseInUse:
        advice = "stop it first: Ctrl-C in its terminal, or sudo systemctl stop hesper-gateway"
        give_up(LineInUse(f"the agent runs and holds line {line}; nothing was sent; {advice}"), 3)
    except (DatabaseError, LineInUse, LineDown) as error:
        give_up(error, 3)
    report.show(settings, here, found, output, as_json)
    if wanted.servers == _numbers(_ONLY_ONE) and not as_json:
        typer.echo("asked for logical device 1 alone; for more: --logical 1-16", err=True)
    raise typer.Exit(0 if found else 1)


def _line(settings: GatewayConfig, name: str, path: Path) -> LineConfig:
    found = next((line for line in settings.lines if line.name == name), None)
    if found is None:
        names = ", ".join(line.name for line in settings.lines) or "none"
        raise ConfigError(f"{path} has no line {name!r}; it has: {names}")
    return found


def _forms(octets: list[int] | None) -> tuple[Literal[1, 2, 4] | None, ...]:
    """Return the forms of HDLC addresses to ask; the shortest where nothing is said."""
    allowed: tuple[Literal[1, 2, 4], ...] = (1, 2, 4)
    if octets is None:
        return (None,)
    if not set(octets) <= set(allowed):
        raise typer.BadParameter("HDLC addresses have 1, 2 or 4 octets")
    return tuple(form for form in allowed if form in octets)
