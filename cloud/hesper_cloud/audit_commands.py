"""`hesper-cloud audit verify`: is the audit log whole, and does anybody contradict it?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from hesper_contracts.signing import Keyring
from sqlalchemy import select

from hesper_cloud import audit as audit_log
from hesper_cloud import keys
from hesper_cloud.audit import Witnessed, testimony
from hesper_cloud.audit.testimony import NoTestimony
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.authority import GatewayKey
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.settings import Settings

audit = typer.Typer(no_args_is_help=True, help="The tamper-evident audit log.")


@audit.command("verify")
def verify(
    witness: Annotated[
        list[Path] | None,
        typer.Option(help="What `hesper-gateway witness` printed; may be given again."),
    ] = None,
    gateways: Annotated[bool, typer.Option(help="Ask the gateways through the broker.")] = True,
    also_key: Annotated[
        list[str] | None, typer.Option(help="A command key of before, 64 hex digits.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Checks rows, checkpoints and what gateways witness; exits with 1 when they disagree."""
    settings = Settings.load(config)
    trusted = Keyring.of(
        keys.command_public_key(settings), *(bytes.fromhex(key) for key in also_key or ())
    )
    engine = open_engine(settings.database.authority_url, read_only=True)
    # Asked before the snapshot is taken: what was witnessed after it would look cut off.
    witnessed = [each for path in witness or () for each in testimony.from_file(path)]
    if gateways:
        with reading(engine) as session:
            known = session.scalars(select(GatewayKey.gateway)).all()
        witnessed += _asked(settings, known)
    with reading(engine) as session:
        verdict = audit_log.examine(session, trusted, witnessed)
    engine.dispose()
    typer.echo(f"{'intact' if verdict.intact else 'BROKEN'}: {verdict.text}")
    held = f"{verdict.checkpoints} checkpoints fit, {len(witnessed)} of them held elsewhere"
    typer.echo(f"head {verdict.head}; {held if verdict.intact else 'see above'}")
    if not verdict.intact:
        raise typer.Exit(1)


def _asked(settings: Settings, known: Sequence[str]) -> list[Witnessed]:
    if not known:
        return []
    try:
        found = testimony.ask(settings.broker, known)
    except NoTestimony as reason:
        typer.echo(f"no gateway was asked: {reason}", err=True)
        return []
    for refused in found.refused:
        typer.echo(f"no testimony: {refused}", err=True)
    missing = found.missing(known)
    if missing:
        typer.echo(f"nothing was heard from {len(missing)} gateways: {missing[:20]}", err=True)
    return found.witnessed
