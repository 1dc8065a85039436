"""`hesper-cloud policy …` and `user factor`: the rules under which commands leave, and who proves.

A policy document is JSON. It is set by the operator of the authority's machine alone; each change
is in the audit log before it takes effect, and running processes follow it at their next turn.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from sqlalchemy import select

from hesper_cloud import keys, provision
from hesper_cloud.accounts import factors
from hesper_cloud.accounts.factors import Enrolled
from hesper_cloud.authority import second_factor
from hesper_cloud.authority.hours import Maintenance
from hesper_cloud.authority.policy import POLICIES, Policy
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.authority import PolicyRow, SecondFactor, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.provision import Databases, ProvisioningError
from hesper_cloud.settings import Settings

policy = typer.Typer(no_args_is_help=True, help="The rules under which commands may leave.")
Document = Annotated[Path, typer.Argument(help="A policy document, JSON.")]


@policy.command("list")
def list_(config: Config = DEFAULT) -> None:
    """Lists the policies that are stored and those that ship; the active one has a star."""
    with reading(Databases.open(Settings.load(config)).authority) as session:
        stored = {row.name: row.active for row in session.scalars(select(PolicyRow))}
    for name in sorted({*stored, *POLICIES}):
        typer.echo(f"{'*' if stored.get(name) else ' '} {name}")


@policy.command()
def show(
    name: Annotated[str | None, typer.Argument(help="The active one without it.")] = None,
    config: Config = DEFAULT,
) -> None:
    """Prints a policy with all its defaults, as a document to change and set."""
    _, document = _stored(Databases.open(Settings.load(config)), name)
    typer.echo(document.model_dump_json(indent=2))


@policy.command()
def check(file: Document) -> None:
    """Checks a document and names what differs from the default policy; changes nothing."""
    wanted, default = _read(file).model_dump(mode="json"), Policy().model_dump(mode="json")
    for name, value in wanted.items():
        if value != default[name]:
            typer.echo(f"{name}: {json.dumps(value, sort_keys=True)}")
    typer.echo("the document is a policy")


@policy.command("set")
def set_(
    name: Annotated[str, typer.Argument(help="Under which it is stored.")],
    file: Annotated[
        Path | None, typer.Argument(help="A document; one that ships without it.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Stores a policy under a name and makes it the active one."""
    if file is None and name not in POLICIES:
        raise ProvisioningError(f"no policy {name!r} ships; known: {', '.join(POLICIES)}")
    wanted = _read(file) if file is not None else POLICIES[name]
    databases = Databases.open(Settings.load(config))
    provision.activate_policy(databases.authority, name, wanted.model_dump(mode="json"))
    typer.echo(f"policy {name} is active")


@policy.command()
def maintenance(
    name: Annotated[str, typer.Argument(help="What the work is.")],
    begin: Annotated[datetime, typer.Option(help="UTC, as 2026-12-01T08:00:00.")],
    end: Annotated[datetime, typer.Option(help="UTC; nothing is held any more from then on.")],
    gateway: Annotated[list[str] | None, typer.Option(help="Where; everywhere without it.")] = None,
    config: Config = DEFAULT,
) -> None:
    """Adds a time of work to the active policy: batches wait, silence there is no alert.

    Work that is over is taken out of the document at the same time.
    """
    databases, now = Databases.open(Settings.load(config)), datetime.now(UTC)
    active, document = _stored(databases, None)
    try:
        work = Maintenance(
            name=name,
            begin=begin.replace(tzinfo=UTC),
            end=end.replace(tzinfo=UTC),
            gateways=frozenset(gateway or ()),
        )
    except ValidationError as error:
        raise ProvisioningError(_complaint(error)) from None
    kept = [each for each in document.maintenance if each.end > now and each.name != name]
    changed = document.model_copy(update={"maintenance": (*kept, work)})
    provision.activate_policy(databases.authority, active, changed.model_dump(mode="json"))
    typer.echo(f"{name} is on record, {len(kept)} beside it")


def user_factor(
    username: str,
    remove: Annotated[
        bool, typer.Option("--remove", help="Takes it away, for a lost one.")
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Gives an account a second factor: shows the secret and reads its first code from stdin."""
    settings = Settings.load(config)
    databases, now = Databases.open(settings), datetime.now(UTC)
    with reading(databases.authority) as session:
        if session.get(User, username) is None:
            raise ProvisioningError(f"there is no account {username!r}")
    if remove:
        _remove_factor(databases, username)
        return
    secret, codes = factors.new_secret(), factors.new_recovery_codes()
    typer.echo(factors.uri(secret, username))
    typer.echo("recovery codes, each good once, shown this one time:\n" + "\n".join(codes))
    first = typer.prompt("the code that the authenticator shows now")
    step = factors.step_of(secret, first, now, 0) or factors.step_of(
        secret, first, datetime.now(UTC), 0
    )
    if step is None:
        raise ProvisioningError("the code does not fit; nothing was changed")
    with writing(databases.authority) as session:
        provision.note(session, "factor.enrol", username, None, "a factor")
        enrolled = Enrolled(username, secret, codes, step)
        second_factor.put(session, keys.vault(settings.keys), enrolled, now)
    typer.echo(f"{username} gives a code from now on")


def _remove_factor(databases: Databases, username: str) -> None:
    with writing(databases.authority) as session:
        factor = session.get(SecondFactor, username)
        if factor is None:
            raise ProvisioningError(f"{username} has no second factor")
        provision.note(session, "factor.remove", username, "a factor", "none")
        session.delete(factor)
    typer.echo(f"{username} has no second factor any more")


def _stored(databases: Databases, name: str | None) -> tuple[str, Policy]:
    wanted = PolicyRow.active if name is None else PolicyRow.name == name
    with reading(databases.authority) as session:
        row = session.scalars(select(PolicyRow).where(wanted)).first()
        if row is not None:
            return row.name, Policy.model_validate(row.document)
    if name in POLICIES:
        return name, POLICIES[name]
    raise ProvisioningError(f"there is no policy {name!r}" if name else "no policy is active")


def _read(file: Path) -> Policy:
    try:
        return Policy.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ProvisioningError(f"{file}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    """Returns every misfit with its place in the document."""
    found: list[Any] = error.errors(include_url=False, include_input=False)
    places = (
        f"{'.'.join(str(part) for part in each['loc']) or 'document'}: {each['msg']}"
        for each in found
    )
    return "; ".join(places)
