"""``hesper-cloud database``: which schema both databases have, and the way back to an older one."""

from typing import Annotated, Literal

import typer

from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import is_open_elsewhere, open_engine, writing
from hesper_cloud.provision import ProvisioningError, note
from hesper_cloud.settings import Settings

database = typer.Typer(no_args_is_help=True, help="The schema of the databases.")
_NAMES: tuple[migrate.Database, ...] = ("registry", "authority")


@database.command("show")
def show(config: Config = DEFAULT) -> None:
    """Prints the schema of each database, and the one that this version needs."""
    settings = Settings.load(config)
    for name in _NAMES:
        engine = open_engine(_url(settings, name))
        found = migrate.revision_of(engine) or "none"
        engine.dispose()
        typer.echo(f"{name}: {found}; this version needs {migrate.newest(name)}")


@database.command("back")
def back(
    which: Annotated[Literal["registry", "authority"], typer.Argument()],
    revision: Annotated[str, typer.Argument(help="As the older version's `database show` says.")],
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit log.")],
    config: Config = DEFAULT,
) -> None:
    """Takes a database back to an older schema; refused while anybody has it open.

    What only newer tables and columns hold is lost: make a backup first.
    """
    settings = Settings.load(config)
    if is_open_elsewhere(_url(settings, which)):
        raise ProvisioningError(f"somebody has the {which} open: stop head end and authority first")
    authority = open_engine(settings.database.authority_url)
    engine = open_engine(_url(settings, which))
    try:
        before = migrate.revision_of(engine)
        known = migrate.revisions(which)
        if before not in known or revision not in known[: known.index(before)]:
            raise ProvisioningError(
                f"the {which} is at {before}: it goes back to one of {', '.join(known)}, earlier"
            )
        with writing(authority) as session:
            note(session, "database.back", which, before, revision, reason)
        migrate.go_back(engine, which, revision)
    finally:
        engine.dispose()
        authority.dispose()
    typer.echo(f"the {which} is at {revision}; start nothing but the older version on it")


def _url(settings: Settings, name: str) -> str:
    urls = settings.database
    return urls.url if name == "registry" else urls.authority_url
