"""Runs a campaign by name and tells how it went."""

from __future__ import annotations

import json
from typing import Final

import typer

from hesper_lab.fuzz import campaign
from hesper_lab.fuzz.registry import TARGETS

_FELL: Final = 1


def run(name: str, minutes: float, *, as_json: bool) -> int:
    """Fuzz one target, or list all of them; return the exit code."""
    if not name:
        typer.echo(json.dumps(sorted(TARGETS)) if as_json else "\n".join(sorted(TARGETS)))
        return 0
    if name not in TARGETS:
        raise typer.BadParameter(f"{name!r}; without a name all are listed", param_hint="NAME")
    outcome = campaign.run(name, minutes)
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=1))
    else:
        typer.echo(_told(outcome))
    return _FELL if outcome.fallen else 0


def _told(outcome: campaign.Outcome) -> str:
    told = (
        f"{outcome.target}: {outcome.executions} runs in {outcome.seconds} s by {outcome.engine}, "
        f"{outcome.inputs} inputs kept"
    )
    fallen = "".join(f"\n  fell: {each}" for each in outcome.fallen)
    return told + fallen + (f"\n  {outcome.error}" if outcome.fallen else "")
