"""The command ``hesper-cloud``: sets the head end up, runs it, and checks its books."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from hesper_contracts.signing import key_id
from sqlalchemy.exc import OperationalError

from hesper_cloud import (
    energy_commands,
    enrolment_commands,
    image_commands,
    key_commands,
    keys,
    policy_commands,
    provision,
    restore_mark,
    rotation,
)
from hesper_cloud.audit.testimony import NoTestimony
from hesper_cloud.audit_commands import audit
from hesper_cloud.authority import process as authority_process
from hesper_cloud.certificate_commands import ca, gateway_certificate, gateway_revoke
from hesper_cloud.commissioning import MeterPaper, commission, read_papers
from hesper_cloud.database_commands import database
from hesper_cloud.db.migrate import OtherVersion
from hesper_cloud.hsm import SigningUnavailable
from hesper_cloud.later_commands import with_later
from hesper_cloud.observing import errors, logs
from hesper_cloud.observing.errors import BadHook
from hesper_cloud.provision import Databases, ProvisioningError, require_gateway
from hesper_cloud.settings import BadSettings, Settings
from hesper_cloud.stores.errors import StoreError
from hesper_cloud.vault import VaultBroken

_LATER = {
    "archive": "hesper_cloud.archive.commands:archive",
    "backup": "hesper_cloud.backup.commands:backup",
    "batch": "hesper_cloud.batch_commands:batch",
    "dead-letters": "hesper_cloud.ingest_commands:letters",
    "export": "hesper_cloud.exports.commands:export_",
    "person": "hesper_cloud.privacy.commands:person",
    "rehearse": "hesper_cloud.backup.commands:rehearse_",
    "restore": "hesper_cloud.erasure.restore_command:restore_",
    "store": "hesper_cloud.store_commands:store",
}
_GATEWAYS_LATER = {"send-again": "hesper_cloud.ingest_commands:send_again"}
_METERS_LATER = {"erase": "hesper_cloud.erasure.commands:erase"}
app = typer.Typer(cls=with_later(_LATER), no_args_is_help=True, add_completion=False, help=__doc__)
user = typer.Typer(no_args_is_help=True, help="Accounts of people and programs.")
gateway = typer.Typer(
    cls=with_later(_GATEWAYS_LATER), no_args_is_help=True, help="Gateways and their public keys."
)
meter = typer.Typer(
    cls=with_later(_METERS_LATER), no_args_is_help=True, help="Commissioning of meters."
)
key = typer.Typer(no_args_is_help=True, help="The cloud's public keys.")
for name, part in (
    ("user", user),
    ("gateway", gateway),
    ("meter", meter),
    ("audit", audit),
    ("key", key),
):
    app.add_typer(part, name=name)
app.add_typer(energy_commands.energy, name="energy")
app.add_typer(key_commands.keys, name="keys")
app.add_typer(image_commands.image, name="image")
app.add_typer(database, name="database")
app.add_typer(policy_commands.policy, name="policy")
user.command("factor")(policy_commands.user_factor)
for command in (enrolment_commands.keep, enrolment_commands.token, enrolment_commands.account):
    gateway.command()(command)
gateway.command("revoke")(gateway_revoke)
gateway.command("certificate")(gateway_certificate)
app.add_typer(ca, name="ca")

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="HESPER_CONFIG", help="The file cloud.toml.")
]
DEFAULT = Path("cloud.toml")
_ASK = "-"
_SWITCH_S = 0.0001
"""With Python's own 5 ms, ingest waits that long at every hash and commit while a job reckons."""
_TOLD = (
    BadHook,
    BadSettings,
    NoTestimony,
    OSError,
    OtherVersion,
    ProvisioningError,
    SigningUnavailable,
    StoreError,
    VaultBroken,
)
_NO_INIT = "; was `hesper-cloud init` run?"
Role = Callable[[Settings, asyncio.Event], Awaitable[None]]


@app.command()
def init(policy: str | None = None, config: Config = DEFAULT) -> None:
    """Makes keys and databases and activates a named policy; safe to repeat."""
    settings = Settings.load(config)
    active = provision.initialise(settings, policy)
    typer.echo(f"ready in {settings.state}, policy {active}")


@app.command()
def run(config: Config = DEFAULT) -> None:
    """Runs ingest, jobs and web until it is told to stop."""
    gc.disable()  # what is loaded to start stays; once it is up, garbage is looked for again
    from hesper_cloud import app as head_end  # heavy: the authority starts without web and store

    _run_until_told(head_end.run, _settings_to_run(config))


@app.command()
def ingest(config: Config = DEFAULT) -> None:
    """Runs ingest alone: one more consumer beside `run`, where the store serves several.

    Needs an ingest.instance of its own, InfluxDB, and a registry that both reach.
    """
    from hesper_cloud.stores.opening import is_ours_alone

    settings = _settings_to_run(config)
    if is_ours_alone(settings.store):
        needs = "one more consumer needs InfluxDB and sole_writer = false under [store]"
        typer.echo(f"not started: {needs}; set it here and for `hesper-cloud run`", err=True)
        raise typer.Exit(1)
    from hesper_cloud import app as head_end

    _run_until_told(head_end.run_ingest, settings)


def _settings_to_run(config: Path) -> Settings:
    settings = Settings.load(config)
    restore_mark.refuse(settings.state)
    return settings


def _run_until_told(role: Role, settings: Settings) -> None:
    from hesper_cloud import app as head_end
    from hesper_cloud.api import request_ids

    _tell_of(settings, "head-end", {"request_id": request_ids.current})
    sys.setswitchinterval(_SWITCH_S)

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, stop.set)
        await role(settings, stop)

    with asyncio.Runner(loop_factory=head_end.loop_factory()) as runner:
        runner.run(until_told())
    gc.unfreeze()  # or nobody collects them, and the last words are a page of DuckDB's complaints


@app.command()
def authority(config: Config = DEFAULT) -> None:
    """Runs the authority, a process of its own, until it is told to stop."""
    settings = _settings_to_run(config)
    _tell_of(settings, "authority")
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    authority_process.run(settings, stop, rotation.check)


@user.command("add")
def user_add(
    username: str,
    role: Annotated[str, typer.Option(help="viewer, operator, approver, admin or auditor.")],
    password_file: Annotated[
        str,
        typer.Option("--password-file", help="A file with the password; -: asked for, or stdin."),
    ] = _ASK,
    config: Config = DEFAULT,
) -> None:
    """Adds an account, or sets its role and password anew and ends its sessions."""
    settings = Settings.load(config)
    password = _password(username, password_file)
    databases = Databases.open(settings)
    provision.add_user(databases.authority, username, role, password)
    typer.echo(f"{username} is {role}")


@user.command("disable")
def user_disable(username: str, config: Config = DEFAULT) -> None:
    """Disables an account; its sessions and tokens end at once."""
    databases = Databases.open(Settings.load(config))
    provision.disable_user(databases.authority, username)
    typer.echo(f"{username} is disabled")


@gateway.command("add")
def gateway_add(
    gateway_id: str,
    public_key: Annotated[str, typer.Option("--public-key", help="64 hex digits, Ed25519.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Take another key's place; let in again who was shut out."),
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Puts a gateway's public key on record, so that its results are believed."""
    databases = Databases.open(Settings.load(config))
    provision.add_gateway(databases, gateway_id, public_key, replace=replace)
    typer.echo(f"{gateway_id} is on record")


@meter.command("add")
def meter_add(
    serial: str,
    gateway_id: Annotated[str, typer.Option("--gateway")],
    logical_device_name: Annotated[str | None, typer.Option()] = None,
    customer: str | None = None,
    address: str | None = None,
    life_support: bool = False,
    config: Config = DEFAULT,
) -> None:
    """Commissions one meter, or corrects what is known of it."""
    paper = MeterPaper(
        id=serial,
        gateway=gateway_id,
        logical_device_name=logical_device_name,
        customer=customer,
        address=address,
        life_support=life_support,
    )
    databases = Databases.open(Settings.load(config))
    require_gateway(databases, gateway_id)
    commission(databases, [paper])
    typer.echo(f"{serial} is commissioned behind {gateway_id}")


@meter.command("import")
def meter_import(file: Path, config: Config = DEFAULT) -> None:
    """Commissions the meters of a JSON file; safe to repeat."""
    papers = read_papers(file)
    count = commission(Databases.open(Settings.load(config)), papers)
    typer.echo(f"{count} meters are commissioned")


@key.command("show")
def key_show(which: Literal["commands", "receipts"], config: Config = DEFAULT) -> None:
    """Prints key id and public key, as gateways need them."""
    settings = Settings.load(config)
    if which == "commands":
        public = keys.command_public_key(settings)
    else:
        public = keys.receipt_signer(settings.keys).public_key
    typer.echo(f"{key_id(public)} {public.hex()}")


@key.command("make-in-token")
def key_make_in_token(config: Config = DEFAULT) -> None:
    """Makes the command key in the token that [hsm] names; prints key id and public key."""
    public = keys.make_in_token(Settings.load(config))
    typer.echo(f"{key_id(public)} {public.hex()}")


@app.command()
def tunnel(
    command_id: str,
    gateway_id: Annotated[str, typer.Option("--gateway", help="Where the meter's line is.")],
    listen: Annotated[
        str, typer.Option(help="host:port for the vendor's program; loopback unless you mean it.")
    ] = "127.0.0.1:4059",
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="For the gateway, s.")] = 120,
    config: Config = DEFAULT,
) -> None:
    """Leads a local TCP port through the broker to the meter of an approved tunnel.open."""
    from hesper_cloud import tunnel as tool  # needs the broker alone

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("is to be host:port", param_hint="--listen")
    broker = Settings.load(config).broker
    try:
        reason = asyncio.run(
            tool.serve(
                broker, tool.Wanted(gateway_id, command_id, host, int(port), wait_s), typer.echo
            )
        )
    except (tool.NoTunnel, OSError) as error:
        typer.echo(f"no tunnel: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"the tunnel is closed: {reason}")


def _password(username: str, place: str) -> str:
    """Returns the password of an account: from a file or a pipe, or of a person at a terminal."""
    if place != _ASK:
        return Path(place).read_text("utf-8").strip()
    if sys.stdin.isatty():
        asked: str = typer.prompt(
            f"Password of {username}", hide_input=True, confirmation_prompt=True
        )
        return asked.strip()
    return sys.stdin.readline().strip()


def _tell_of(settings: Settings, role: str, words: logs.Words | None = None) -> None:
    """Begins log and error reports, as configured."""
    logs.begin(settings.log, words)
    errors.begin(settings.errors, role)


def main() -> None:
    """Runs the command line; what a person can mend is said in one line."""
    try:
        app()
    except FileNotFoundError as error:
        hint = _NO_INIT if str(error.filename).endswith(".key") else ""
        typer.echo(f"hesper-cloud: there is no {error.filename}{hint}", err=True)
        sys.exit(2)
    except _TOLD as error:
        typer.echo(f"hesper-cloud: {error}", err=True)
        sys.exit(2)
    except OperationalError as error:
        hint = f"{_NO_INIT} Does `hesper-cloud authority` run?"
        typer.echo(f"hesper-cloud: database: {error.orig}{hint}", err=True)
        sys.exit(2)
