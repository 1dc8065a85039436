"""A search as a person or a program sees it: progress, a table or JSON, what gateway.toml lacks."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from hesper_gateway import templates
from hesper_gateway.config import GatewayConfig, LineConfig
from hesper_gateway.database import DATABASE_NAME, held
from hesper_gateway.discovery.places import Place, Wanted
from hesper_gateway.discovery.proposal import configured_as, fitting, proposal
from hesper_gateway.discovery.search import Found, Search
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates import MeterTemplate


def search(
    settings: GatewayConfig, line: LineConfig, wanted: Wanted, *, quiet: bool
) -> list[Found]:
    """Return who answers, with the agent kept out; progress goes to stderr.

    Raises:
        DatabaseInUse: the agent runs.
        LineInUse: somebody else talks on the line.
        LineDown: it cannot be opened.
        ConfigError: meters of such a line cannot be looked for.
    """
    with held(settings.state / DATABASE_NAME), _progress(quiet) as progress:
        task = progress.add_task(f"line {line.name}", total=None)

        def tell(done: int, found: Found | None) -> None:
            progress.update(task, completed=done)
            if found is not None:
                progress.console.print(f"{found.place}: {_shown(found.answer.name) or 'answers'}")

        search = Search(line, wanted, tell)
        progress.update(task, total=search.total)
        estimate = wanted.estimate_s(line)
        progress.console.print(f"{search.total} places, {estimate:.0f} s if nobody answers")
        return asyncio.run(search.run())


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=quiet)) as progress:
        yield progress


def show(
    settings: GatewayConfig,
    line: LineConfig,
    found: list[Found],
    output: Path | None,
    as_json: bool,
) -> None:
    """Tell who answers, and write down which of them gateway.toml has not.

    A search takes long: where the file cannot be written, what would stand in it is shown.

    Args:
        settings: Of gateway.toml.
        line: Where they answer.
        found: Who does.
        output: A file for the [[meters]]; None shows them.
        as_json: For a program.
    """
    known = _templates(settings.templates)
    ids = {each.place: configured_as(each, line, settings.meters, known) for each in found}
    new = [each for each in found if ids[each.place] is None]
    text = proposal(new, line, known, settings.meters)
    written = output is not None and bool(new) and _is_written(output, text)
    if as_json:
        meters = [_plain(each, ids[each.place], fitting(each, known)) for each in found]
        typer.echo(json.dumps({"line": line.name, "meters": meters, "proposal": text}))
        return
    Console().print(_table(line, found, ids, known))
    if new:
        typer.echo(f"{output}: {len(new)} meters to be completed" if written else text)


def _is_written(output: Path, text: str) -> bool:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        typer.echo(f"{output} cannot be written: {error.strerror}", err=True)
        return False
    return True


def _templates(folder: Path) -> list[MeterTemplate]:
    """Return the templates that ship, and before them those of one's own that are sound."""
    own = templates.names(folder) if folder.is_dir() else []
    found = []
    for name in dict.fromkeys([*own, *templates.names()]):
        try:
            found.append(templates.load_own(folder, name))
        except ConfigError as error:
            typer.echo(f"passed over: {error}", err=True)
    return found


def _plain(found: Found, configured: str | None, template: str) -> dict[str, Any]:
    place, answer = found.place, found.answer
    return {
        "link": place.link,
        "server_address": place.server,
        "physical_address": place.physical,
        "address_octets": place.address_octets,
        "baudrate": found.setting.baudrate,
        "mode_e_address": found.setting.mode_e_address,
        "identification": found.identification,
        "logical_device_name": answer.name,
        "serial_number": answer.serial_number,
        "firmware": answer.firmware,
        "logical_devices": {each.name: each.server for each in answer.logical_devices},
        "refused": answer.refused,
        "template": template,
        "configured_as": configured,
    }


def _table(
    line: LineConfig,
    found: list[Found],
    ids: dict[Place, str | None],
    known: list[MeterTemplate],
) -> Table:
    headings = ("place", "name", "serial number", "template", "in gateway.toml")
    table = Table(*(Column(each, overflow="fold") for each in headings))
    table.title, table.title_justify = f"line {line.name}: {len(found)} answer", "left"
    for each in found:
        answer = each.answer
        table.add_row(
            str(each.place),
            _shown(answer.name or each.identification or f"({answer.refused or 'tells no name'})"),
            _shown(answer.serial_number),
            fitting(each, known),
            ids[each.place] or "new",
        )
    return table


def _shown(said: str) -> str:
    """Return what somebody on a line said of itself as a terminal may get it."""
    return escape("".join(each if each.isprintable() else "?" for each in said))
