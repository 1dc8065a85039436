"""`hesper-gateway enroll`: a new device takes a gateway's name.

Exit codes: 0 enrolled, 1 the head end said no or did not answer, 2 something here is wrong.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hesper_gateway.cli_options import give_up
from hesper_gateway.database import DatabaseError
from hesper_gateway.errors import ConfigError

if TYPE_CHECKING:
    from hesper_gateway.enrolment import Enrolled

FOLDER = Path("/etc/hesper")


def enroll(
    head_end: Annotated[
        str, typer.Option("--head-end", metavar="URL", help="The head end's web side, https://….")
    ],
    token: Annotated[
        str, typer.Option("--token", help="From hesper-cloud gateway token; - reads it from stdin.")
    ],
    folder: Annotated[
        Path, typer.Option("--folder", help="Where gateway.toml shall lie.", file_okay=False)
    ] = FOLDER,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Certificates to trust instead of the system's.", dir_okay=False),
    ] = None,
    serial: Annotated[
        str | None, typer.Option(help="This device's serial number, where it cannot be read.")
    ] = None,
    again: Annotated[
        bool, typer.Option(help="Only certificate and password, for a gateway that lives here.")
    ] = False,
) -> None:
    """Enrol this device: its keys are made here, its configuration comes from the head end.

    Run it as the agent's account, with the agent stopped. It may be repeated with the same token.
    """
    from hesper_gateway import enrolment  # TLS is not loaded by the agent

    words = sys.stdin.readline() if token == "-" else token  # noqa: S105 - the sign for stdin
    where, number = enrolment.HeadEnd(head_end, ca), serial or enrolment.serial_number()
    run = enrolment.enrol_again if again else enrolment.enrol
    try:
        found = run(where, words, folder, number)
    except ConfigError as error:
        give_up(error, 2)
    except (enrolment.EnrolmentFailed, DatabaseError) as error:
        give_up(error, 1)
    if found is None:
        typer.echo("everything was in place already")
    else:
        _tell(found, again=again)


def _tell(found: "Enrolled", *, again: bool) -> None:
    """Say who this device is now, and what is left to do."""
    brought = "what the broker knows it by is new"
    if not again:
        brought = f"configuration {found.version}, {found.meter_count} meters"
    typer.echo(f"this device is {found.gateway}: {brought}")
    if found.replaces:
        typer.echo("it takes the place of another: counters and buffers are read from the meters")
    if not found.broker_knows:
        typer.echo(
            "the broker does not know the new password yet; at the head end, put the line of\n"
            f"  hesper-cloud gateway account {found.gateway}\n"
            "into the broker's password file in the place of the old one, and reload the broker"
        )
