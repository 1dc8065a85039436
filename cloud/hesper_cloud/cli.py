"""The command ``hesper-cloud``: sets the head end up, runs it, and checks its books."""

import sys

import typer

from hesper_cloud.config_option import DEFAULT
from hesper_cloud.later_commands import Later, with_later

_COMMANDS = {
    "init": Later(
        "hesper_cloud.init_command:init",
        "Makes keys and databases and activates a named policy; safe to repeat.",
    ),
    "run": Later(
        "hesper_cloud.process_commands:run", "Runs ingest, jobs and web until it is told to stop."
    ),
    "ingest": Later(
        "hesper_cloud.process_commands:ingest",
        "Runs ingest alone: one more consumer beside `run`, where the store serves several.",
    ),
    "authority": Later(
        "hesper_cloud.process_commands:authority",
        "Runs the authority, a process of its own, until it is told to stop.",
    ),
    "tunnel": Later(
        "hesper_cloud.tunnel_command:tunnel",
        "Leads a local TCP port through the broker to the meter of an approved tunnel.open.",
    ),
    "user": Later("hesper_cloud.user_commands:user", "Accounts of people and programs."),
    "gateway": Later("hesper_cloud.gateway_commands:gateway", "Gateways and their public keys."),
    "meter": Later("hesper_cloud.meter_commands:meter", "Commissioning of meters."),
    "audit": Later("hesper_cloud.audit_commands:audit", "The tamper-evident audit log."),
    "key": Later("hesper_cloud.public_key_commands:key", "The cloud's public keys."),
    "energy": Later("hesper_cloud.energy_commands:energy", "Validation and the energy book."),
    "keys": Later("hesper_cloud.key_commands:keys", "Keys of meters, kept locked."),
    "image": Later("hesper_cloud.image_commands:image", "Firmware images and their manifests."),
    "database": Later("hesper_cloud.database_commands:database", "The schema of the databases."),
    "policy": Later(
        "hesper_cloud.policy_commands:policy", "The rules under which commands may leave."
    ),
    "ca": Later(
        "hesper_cloud.certificate_commands:ca",
        "The certificate authority of gateways and broker.",
    ),
    "archive": Later("hesper_cloud.archive.commands:archive", "Readings that have left the store."),
    "backup": Later(
        "hesper_cloud.backup.commands:backup",
        "Makes a backup below FOLDER; a head end that runs is asked to make it.",
    ),
    "batch": Later(
        "hesper_cloud.batch_commands:batch",
        "Batches of commands, by an account of your own on a head end that runs.",
    ),
    "dead-letters": Later(
        "hesper_cloud.ingest_commands:letters", "Messages that could not be understood."
    ),
    "export": Later("hesper_cloud.exports.commands:export_", "Exports readings below TARGET."),
    "person": Later(
        "hesper_cloud.privacy.commands:person", "One person's data: given out, or erased."
    ),
    "rehearse": Later(
        "hesper_cloud.backup.commands:rehearse_",
        "Restores the folder BACKUP into a scratch folder and compares; exits with 1 if it fails.",
    ),
    "restore": Later(
        "hesper_cloud.erasure.restore_command:restore_",
        "Restores the folder BACKUP into the empty state folder that cloud.toml names.",
    ),
    "store": Later("hesper_cloud.store_commands:store", "Where readings live."),
}
app = typer.Typer(
    cls=with_later(_COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they may show local variables: passwords and keys
    help=__doc__,
)

_TOLD = (
    "builtins:OSError",
    "hesper_cloud.audit.testimony:NoTestimony",
    "hesper_cloud.db.migrate:OtherVersion",
    "hesper_cloud.db.sole:InUse",
    "hesper_cloud.db.sole:Lost",
    "hesper_cloud.hsm:SigningUnavailable",
    "hesper_cloud.observing.errors:BadHook",
    "hesper_cloud.provision:ProvisioningError",
    "hesper_cloud.settings:BadSettings",
    "hesper_cloud.stores.errors:StoreError",
    "hesper_cloud.vault:VaultBroken",
)
"""What a person can mend; the text says how."""
_OF_DATABASES = ("sqlalchemy.exc:OperationalError",)
_OF_POSTGRESQL = ("sqlalchemy.exc:ProgrammingError",)
_NO_INIT = "; was `hesper-cloud init` run?"
_BY_SQLSTATE = {
    "42P01": _NO_INIT,  # undefined_table
    "42501": "; is this the cloud.toml of the account that may?",  # insufficient_privilege
}
"""What a person can mend of what PostgreSQL refuses; any other is our bug, and told as one."""


@app.callback()
def _all() -> None:
    """Makes a group of `app`, though every command of it comes later."""


def main() -> None:
    """Runs the command line; what a person can mend is said in one line."""
    try:
        app()
    except FileNotFoundError as error:
        hint = _NO_INIT if str(error.filename).endswith(".key") else ""
        if error.filename == str(DEFAULT):
            hint = "; where is it? --config FILE, or HESPER_CONFIG in the environment"
        _give_up(f"there is no {error.filename}{hint}")
    except UnicodeEncodeError as error:
        _give_up(f"a text that was given, or is to be shown, cannot be written as {error.encoding}")
    except _loaded(_TOLD) as error:
        _give_up(str(error))
    except _loaded(_OF_DATABASES) as error:
        hint = f"{_NO_INIT} Does `hesper-cloud authority` run?"
        _give_up(f"database: {getattr(error, 'orig', error)}{hint}")
    except _loaded(_OF_POSTGRESQL) as error:
        refusal = getattr(error, "orig", error)
        mended_by = _BY_SQLSTATE.get(getattr(refusal, "sqlstate", ""))
        if mended_by is None:
            raise
        _give_up(f"database: {str(refusal).partition(chr(10))[0]}{mended_by}")


def _loaded(places: tuple[str, ...]) -> tuple[type[Exception], ...]:
    """Returns those of the errors whose modules are loaded: no other can have been raised."""
    named = (place.split(":") for place in places)
    return tuple(
        getattr(sys.modules[module], name) for module, name in named if module in sys.modules
    )


def _give_up(text: str) -> None:
    typer.echo(f"hesper-cloud: {text}", err=True)
    sys.exit(2)
