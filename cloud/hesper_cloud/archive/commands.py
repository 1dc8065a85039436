"""``hesper-cloud archive``: what has left the store, whether it is sound, and how it comes back."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import pyarrow as pa
import typer
from sqlalchemy import Engine

from hesper_cloud.archive import files
from hesper_cloud.archive.adopting import adopt, forget, successor
from hesper_cloud.archive.keeping import ArchiveError, check_mark, enter_unlisted, held, parts_of
from hesper_cloud.archive.names import date_of, day_of
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db import migrate
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.engines import open_engine
from hesper_cloud.exports.targets import TargetError, below
from hesper_cloud.settings import Settings, StoreSettings
from hesper_cloud.stores.copying import content, put_in
from hesper_cloud.stores.opening import open_file

archive = typer.Typer(no_args_is_help=True, help="Readings that have left the store.")
Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="UTC, included.")]
_DAMAGED = (TargetError, ArchiveError, pa.ArrowException)


@archive.command("list")
def list_(first: Day, last: Day, config: Config = DEFAULT) -> None:
    """Lists the parts of days: day, file, readings, revisions among them, octets."""
    settings = Settings.load(config)
    with _parts(settings, first, last) as parts:
        for part in _or_nothing(parts, first, last):
            row = (part.name, part.readings, part.revisions, part.octets)
            typer.echo("\t".join((_text(part.day), *map(str, row))))


@archive.command("check")
def check(first: Day, last: Day, config: Config = DEFAULT) -> None:
    """Reads days and compares them with what was archived; exits with 1 if one differs."""
    settings, differing = Settings.load(config), 0
    names = _names(settings)
    with _parts(settings, first, last) as parts:
        for part in _or_nothing(parts, first, last):
            try:
                _proven(settings, part)
            except _DAMAGED as error:
                differing += 1
                typer.echo(f"{part.name}: {_replaced(part, names) or error}", err=True)
            else:
                typer.echo(f"{part.name}\t{part.readings} readings, sound")
    if differing:
        raise typer.Exit(1)


@archive.command("adopt")
def adopt_(
    first: Day,
    last: Day,
    forget_gone: Annotated[
        bool,
        typer.Option("--forget-gone", help="Take out of the list what has no later version."),
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Enters files that a restored list does not know, as those that erasures have written since.

    Exits with 1 if a file that is not there has no sound later version, or one is not sound.
    """
    settings, left = Settings.load(config), 0
    folder, names = _folder(settings), _names(settings)
    with _registry(settings) as registry:
        for day in _days(first, last):
            try:
                for name in enter_unlisted(folder, registry, day, datetime.now(UTC)):
                    typer.echo(f"{name} is entered")
            except _DAMAGED as error:
                left += 1
                typer.echo(f"a file of {_text(day)} is not entered: {error}", err=True)
        parts = _of_days(registry, _days(first, last))
        for part in [each for each in parts if each.name not in names]:
            try:
                if forget_gone and successor(part, names) is None:
                    forget(registry, part)
                    typer.echo(f"{part.name} is not in the list any more")
                else:
                    place = adopt(folder, registry, part, names)
                    typer.echo(f"{place.name} stands in place of {part.name}")
            except _DAMAGED as error:
                left += 1
                typer.echo(f"{part.name} is not there: {error}", err=True)
    if left:
        raise typer.Exit(1)


@archive.command("unpack")
def unpack(
    first: Day,
    last: Day,
    into: Annotated[Path, typer.Argument(help="A .duckdb file, made if it is missing.")],
    config: Config = DEFAULT,
) -> None:
    """Brings days into an embedded store of their own, to be asked or copied from there.

    Every file is read and compared first: of a damaged archive nothing is made.
    """
    settings, count = Settings.load(config), 0
    _names(settings)
    with _parts(settings, first, last) as found:
        parts = list(found)
    if not parts:
        _give_up(_nothing(first, last))
    try:
        for part in parts:
            _proven(settings, part)
    except _DAMAGED as error:
        _give_up(f"nothing was unpacked: {part.name}: {error}")
    with closing(open_file(into, StoreSettings())) as target:
        for part in parts:
            put_in(target, files.readings(_address(settings, part)))
            count += part.readings
            typer.echo(f"\r{_text(part.day)}, {count} readings", err=True, nl=False)
    typer.echo(f"{count} readings in {into}")


@contextmanager
def _registry(settings: Settings) -> Iterator[Engine]:
    registry = open_engine(settings.database.url)
    try:
        migrate.upgrade(registry, "registry")
        yield registry
    finally:
        registry.dispose()


@contextmanager
def _parts(settings: Settings, first: datetime, last: datetime) -> Iterator[Iterator[ArchivedPart]]:
    with _registry(settings) as registry:
        yield _of_days(registry, _days(first, last))


def _of_days(registry: Engine, days: range) -> Iterator[ArchivedPart]:
    for day in days:
        yield from parts_of(registry, day)


def _or_nothing(
    parts: Iterable[ArchivedPart], first: datetime, last: datetime
) -> Iterator[ArchivedPart]:
    """Yields parts; says so where there are none."""
    is_empty = True
    for part in parts:
        is_empty = False
        yield part
    if is_empty:
        typer.echo(_nothing(first, last), err=True)


def _proven(settings: Settings, part: ArchivedPart) -> None:
    found = content(files.readings(_address(settings, part)))
    if found != held(part):
        raise ArchiveError(f"holds {found.readings} readings that are not those archived")


def _replaced(part: ArchivedPart, names: Sequence[str]) -> str:
    """Says what stands in place of a file that is not there; nothing where nothing does."""
    place = successor(part, names)
    if place is None:
        return ""
    return f"was replaced by {place.name}, which hesper-cloud archive adopt enters"


def _names(settings: Settings) -> list[str]:
    """Returns the files of the archive; ends with 2 where it cannot be reached."""
    folder = _folder(settings)
    try:
        check_mark(folder)
        return below(folder)
    except TargetError as error:
        _give_up(str(error))


def _give_up(text: str) -> NoReturn:
    typer.echo(f"hesper-cloud: {text}", err=True)
    raise typer.Exit(2) from None


def _address(settings: Settings, part: ArchivedPart) -> str:
    return f"{_folder(settings)}/{part.name}"


def _folder(settings: Settings) -> str:
    return settings.store.retention.archive.rstrip("/")


def _days(first: datetime, last: datetime) -> range:
    return range(_number(first), _number(last) + 1)


def _number(day: datetime) -> int:
    return day_of(day.replace(tzinfo=UTC))


def _nothing(first: datetime, last: datetime) -> str:
    return f"nothing is archived of {first:%F} to {last:%F}"


def _text(day: int) -> str:
    return f"{date_of(day):%Y-%m-%d}"
