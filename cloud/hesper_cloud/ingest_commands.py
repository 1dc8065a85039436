"""``hesper-cloud dead-letters`` and ``gateway send-again``: what was set aside or comes again."""

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from hesper_contracts.frame import Refused
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import DeadLetter, Gateway
from hesper_cloud.ingest import send_again as wishes
from hesper_cloud.settings import Settings

letters = typer.Typer(no_args_is_help=True, help="Messages that could not be understood.")
_SHOWN_OCTETS = 2048


@letters.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1)] = 50,
    topic: Annotated[str, typer.Option(help="Only topics that hold this text.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Lists the newest, one a line: number, time, octets, state, topic, reason."""
    size = func.length(DeadLetter.payload)
    query = select(DeadLetter, size).where(DeadLetter.topic.contains(topic, autoescape=True))
    with reading(open_engine(Settings.load(config).database.url, read_only=True)) as session:
        for letter, octets in session.execute(query.order_by(DeadLetter.id.desc()).limit(limit)):
            told = f"{letter.received_at:%F %T}\t{octets}\t{_state(letter)}"
            typer.echo(f"{letter.id}\t{told}\t{letter.topic}\t{letter.reason}")


@letters.command()
def show(
    number: int,
    out: Annotated[Path | None, typer.Option(help="Write the whole payload to a file.")] = None,
    config: Config = DEFAULT,
) -> None:
    """Shows one letter: what is known of it, and the beginning of its octets."""
    with reading(open_engine(Settings.load(config).database.url, read_only=True)) as session:
        letter = session.get(DeadLetter, number)
    if letter is None:
        raise typer.BadParameter(f"there is no dead letter {number}")
    typer.echo(f"{letter.topic}\n{letter.received_at:%F %T} UTC, {_state(letter)}")
    typer.echo(f"{letter.reason}\n{len(letter.payload)} octets, SHA-256 {letter.digest}")
    if letter.replayed_at is None:
        typer.echo(f"to try it again: hesper-cloud dead-letters replay {letter.id}")
    if out is not None:
        out.write_bytes(letter.payload)
    elif letter.payload[:1] == b"{":
        typer.echo(letter.payload[:_SHOWN_OCTETS].decode("utf-8", "replace"))
    else:
        typer.echo(letter.payload[:_SHOWN_OCTETS].hex(" ", 2))


@letters.command()
def replay(
    numbers: Annotated[list[int] | None, typer.Argument(help="Which; see `list`.")] = None,
    topic: Annotated[str, typer.Option(help="All whose topic holds this text.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Has the running head end try letters again: rows that are stored already are no news."""
    if not numbers and not topic:
        raise typer.BadParameter("say which letters: their numbers, or --topic")
    chosen: list[ColumnElement[bool]] = [DeadLetter.id.in_(numbers or ())]
    if topic:
        chosen.append(DeadLetter.topic.contains(topic, autoescape=True))
    waiting = update(DeadLetter).where(or_(*chosen), DeadLetter.replayed_at.is_(None))
    with writing(open_engine(Settings.load(config).database.url)) as session:
        _require_letters(session, numbers or ())
        result = session.connection().execute(waiting.values(replay_asked_at=datetime.now(UTC)))
    typer.echo(f"{result.rowcount} letters will be tried again; `list` shows what became of them")


def _require_letters(session: Session, numbers: Collection[int]) -> None:
    """Passes where there is each of the letters: of a mistyped number nothing would be heard."""
    there = set(session.scalars(select(DeadLetter.id).where(DeadLetter.id.in_(numbers))))
    missing = sorted(set(numbers) - there)
    if missing:
        told = ", ".join(map(str, missing))
        raise typer.BadParameter(f"there is no dead letter {told}; none was asked for")


def send_again(
    gateway_id: str,
    from_sequence: Annotated[int, typer.Option("--from", min=0, help="The first sequence.")] = 0,
    epoch: Annotated[str, typer.Option(help="Of which outbox; its present one without.")] = "",
    config: Config = DEFAULT,
) -> None:
    """Asks a gateway for batches that it has receipts for already: after a restore."""
    engine = open_engine(Settings.load(config).database.url)
    migrate.upgrade(engine, "registry")
    try:
        with writing(engine) as session:
            _require_heard(session, gateway_id)
            wishes.ask(session, gateway_id, epoch, from_sequence)
    except Refused as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"{gateway_id} will be asked for batches from {from_sequence} on")


def _require_heard(session: Session, gateway: str) -> None:
    """Passes where the gateway was ever heard: another has no batches, and a wish for it waits."""
    if session.get(Gateway, gateway) is None:
        raise typer.BadParameter(f"there is no gateway {gateway!r}, or nothing was heard of it yet")


def _state(letter: DeadLetter) -> str:
    if letter.replayed_at is not None:
        return f"replayed {letter.replayed_at:%F %T}"
    return "asked for" if letter.replay_asked_at is not None else "set aside"
