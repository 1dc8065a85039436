"""`hesper-gateway template`: look at meter templates, check one, learn one from a meter.

Exit codes: 0 done, 1 mistakes found or the meter failed, 2 wrong usage.
"""

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from hesper_dlms import obis
from hesper_dlms.errors import DlmsError

from hesper_gateway import templates
from hesper_gateway.desk.advice import advice
from hesper_gateway.desk.options import Connection, connected
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates import checking
from hesper_gateway.templates.formula import Formula
from hesper_gateway.templates.writing import toml

app = typer.Typer(help="Meter templates: what is known of a kind of meter.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
Folder = Annotated[Path | None, typer.Option(help="Templates of your own, beside those that ship.")]


@app.command("list")
def list_(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the templates: name, what their facts rest on, description."""
    found = [_loaded(name, None) for name in templates.names()]
    if folder is not None:
        found += [_loaded(name, folder) for name in templates.names(folder)]
    if as_json:
        keys = ("name", "verified", "description")
        typer.echo(json.dumps([{key: getattr(each, key) for key in keys} for each in found]))
        return
    for each in found:
        typer.echo(f"{each.name:30}{each.verified:12}{each.description}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, or a file.")],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show a template with everything it inherits, as the gateway takes it."""
    path = Path(name)
    if path.suffix == ".toml":
        name, folder = path.stem, path.parent
    template = _loaded(name, folder)
    document = template.model_dump(exclude_none=True, exclude={"name"})
    absent = {key for key, each in template.objects if each is None}
    document["objects"] |= dict.fromkeys(absent, "none")
    shown = _plain(document)
    typer.echo(json.dumps(shown) if as_json else toml(shown), nl=as_json)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Template files.")], as_json: AsJson = False
) -> None:
    """Explain every mistake in templates: line, key, what is allowed, the nearest name."""
    mistakes = [mistake for file in files for mistake in checking.check(file)]
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in mistakes]))
    else:
        for mistake in mistakes:
            typer.echo(str(mistake))
        if not mistakes:
            typer.echo(f"{', '.join(map(str, files))}: no mistakes")
    if mistakes:
        raise typer.Exit(1)


@app.command()
@connected
def learn(
    connection: Connection,
    file: Annotated[Path, typer.Argument(help="The template to write.", metavar="FILE.toml")],
    description: Annotated[str | None, typer.Option(help="What meter it is.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the file if it exists.")] = False,
) -> None:
    """Write a template from a meter's own association view, taking the options of hesper-dlms.

    hesper-gateway template learn --host 192.168.1.20 --client 1 --authentication gmac
    --keys-file keys.json acme.toml
    """
    wrong = _unfit(file, overwrite)
    if wrong:
        typer.echo(f"{file}: {wrong}", err=True)
        raise typer.Exit(2)
    from hesper_gateway.template_learning import learned

    try:
        document = learned(connection, description)
    except DlmsError as error:
        tried = advice(error)
        typer.echo(
            f"the meter cannot be learned: {error}" + (f"\ntry: {tried}" if tried else ""), err=True
        )
        raise typer.Exit(1) from error
    file.write_text(toml(document), encoding="utf-8")
    mistakes = checking.check(file)
    for mistake in mistakes:
        typer.echo(str(mistake), err=True)
    typer.echo(
        f"{file}: written; from the folder templates beside gateway.toml a meter takes it as "
        f'template = "{file.stem}"'
    )
    if mistakes:
        raise typer.Exit(1)


def _unfit(file: Path, overwrite: bool) -> str:
    """Return why no template may be written there, empty where one may."""
    if file.suffix != ".toml":
        return "a template's file ends in .toml"
    if file.exists() and not overwrite:
        return "is there already; --overwrite replaces it"
    return "" if file.parent.is_dir() else f"there is no folder {file.parent}: mkdir {file.parent}"


def _loaded(name: str, folder: Path | None) -> templates.MeterTemplate:
    try:
        return templates.load(name) if folder is None else templates.load_own(folder, name)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _plain(value: Any) -> Any:
    """Return a template's values as TOML and JSON have them: logical names dotted."""
    match value:
        case dict():
            return {str(key): _plain(each) for key, each in value.items() if each != {}}
        case tuple() | list():
            return [_plain(each) for each in value]
        case bytes():
            return obis.text(value)
        case Formula():
            return value.text
        case Enum():
            return value.value
    return value
