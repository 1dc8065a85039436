"""``hesper-cloud export``: from this machine's store, or by REST from a head end that runs."""

import getpass
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
import typer

from hesper_cloud.access_log import AccessLogKeeping, Look, Looks
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.client_answers import refusal
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db import migrate
from hesper_cloud.db.archive import archived_before
from hesper_cloud.db.engines import open_engine
from hesper_cloud.exports.formats import FORMATS, FormatName
from hesper_cloud.exports.named import stranger
from hesper_cloud.exports.numbers import rfc3339
from hesper_cloud.exports.running import Wanted, export, name_of
from hesper_cloud.exports.targets import TargetError, put
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import ReadingStore, StoreError

_PATIENCE_S = 600.0


def export_(
    format: Annotated[str, typer.Argument(help="csv, parquet, espi or iec61968.")],  # noqa: A002
    target: Annotated[str, typer.Argument(help="A folder, or an address such as s3://…")],
    start: Annotated[datetime, typer.Option("--from", help="UTC, included.")],
    end: Annotated[datetime, typer.Option("--to", help="UTC, excluded.")],
    profile: str = LOAD_PROFILE,
    meter: Annotated[list[str] | None, typer.Option(help="One or more; all without it.")] = None,
    url: Annotated[str | None, typer.Option(help="A head end that runs.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="With --url: a bearer token.")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="With --url: who signed the head end's certificate, PEM.")
    ] = None,
    validated: Annotated[
        bool, typer.Option("--validated", help="As they count: with edits and estimates.")
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Exports readings below TARGET."""
    span = (_epoch(start), _epoch(end))
    try:
        wanted = Wanted(_format(format), profile, *span, meter or None, validated)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--from, --to") from None
    try:
        if url is None:
            _from_store(wanted, target, config)
        else:
            _from_rest(wanted, target, _Door(url, token_file, ca))
    except StoreError as error:
        typer.echo(f"hesper-cloud: {error}; while the head end runs, use --url", err=True)
        raise typer.Exit(1) from None
    except (TargetError, httpx.HTTPError) as error:
        hint = "; --ca names who signed it" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
        typer.echo(f"hesper-cloud: {error}{hint}", err=True)
        raise typer.Exit(1) from None


def _from_store(wanted: Wanted, target: str, config: Path) -> None:
    settings = Settings.load(config)
    with ExitStack() as opened:
        store = open_store(settings)
        opened.callback(store.close)
        left = _note(settings, store, wanted)
        if wanted.start < left:
            raise TargetError(
                f"readings before {rfc3339(left)[:10]} are in the archive: ask from then on, or "
                "unpack them, hesper-cloud archive unpack"
            )
        source: ReadingStore | Shelf = store
        if wanted.validated:
            engine = open_engine(settings.database.url, read_only=True)
            opened.callback(engine.dispose)
            book = EnergyBook(settings.energy_file)
            opened.callback(book.close)
            source = Shelf(engine, store, book)
        done = export(source, wanted, target, _told)
    typer.echo(f"{done.readings} readings, {done.files} files, {done.octets} octets in {target}")


def _note(settings: Settings, store: ReadingStore, wanted: Wanted) -> int:
    """Writes down who exports what, before it is done; returns the end of what is archived.

    Raises:
        TargetError: nothing is known of a meter that it names.
    """
    registry, looks = open_engine(settings.database.url), Looks()
    try:
        migrate.upgrade(registry, "registry")
        if (unknown := stranger(registry, store, wanted.meters or ())) is not None:
            raise TargetError(f"there is no meter {unknown}")
        look = Look(getpass.getuser(), "command line", "export")._replace(
            from_at=wanted.start, to_at=wanted.end
        )
        named = wanted.meters or (None,)
        looks.note([look._replace(meter=meter) for meter in named], datetime.now(UTC))
        AccessLogKeeping(registry, looks).flush()
        return archived_before(registry)
    finally:
        registry.dispose()


class _Door(NamedTuple):
    """Where a head end is, how it is entered, and by whom its certificate is signed."""

    url: str
    token_file: Path | None
    ca: Path | None

    def client(self) -> httpx.Client:
        token = self.token_file.read_text("utf-8").strip() if self.token_file else ""
        return httpx.Client(
            base_url=self.url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=_PATIENCE_S,
            verify=ssl.create_default_context(cafile=self.ca),
        )


def _from_rest(wanted: Wanted, target: str, door: _Door) -> None:
    asked: dict[str, str | list[str]] = {
        "format": wanted.format,
        "profile": wanted.profile,
        "from": rfc3339(wanted.start),
        "to": rfc3339(wanted.end),
    }
    if wanted.validated:
        asked["validated"] = "true"
    if wanted.meters:
        asked["meter"] = list(wanted.meters)
    where = "/api/v1/exports/readings"
    with door.client() as client, client.stream("GET", where, params=asked) as answer:
        _require_granted(answer)
        octets = put(f"{target.rstrip('/')}/{name_of(wanted)}", _watched(answer.iter_bytes()))
    typer.echo(f"{octets} octets in {target}")


def _require_granted(answer: httpx.Response) -> None:
    """Raises what the head end says, where it refuses."""
    if answer.is_error:
        answer.read()
        if (why := refusal(answer)) is not None:
            raise TargetError(why)
    answer.raise_for_status()


def _watched(pieces: Iterator[bytes]) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        yield piece
        count += len(piece)
        typer.echo(f"\r{count} octets", err=True, nl=False)
    typer.echo("", err=True)


def _told(readings: int) -> None:
    typer.echo(f"\r{readings} readings", err=True, nl=False)


def _format(name: str) -> FormatName:
    for known in FORMATS:
        if name == known:
            return known
    raise typer.BadParameter(f"is one of {', '.join(FORMATS)}", param_hint="FORMAT")


def _epoch(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp())
