"""The lives of meters, gateways and SIM cards, as tables: from each state, those that may follow.

A meter is planned for a place, lies in stock, is installed, is commissioned with a first read, and
is removed; a removed one may go back to stock. A meter that is discovered by its readings is
installed. Only what is installed or commissioned is in service: the others are expected to say
nothing, and raise no alerts by their silence.
"""

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import ColumnElement, and_

from hesper_cloud.assets.errors import Forbidden
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.worded import worded

Life = Literal["planned", "stock", "installed", "commissioned", "removed"]
SimState = Literal["stock", "active", "suspended", "retired"]
IN_SERVICE = ("installed", "commissioned")
WAITING = ("planned", "stock")
LIVES = ("planned", "stock", "installed", "commissioned", "removed")
SIM_STATES = ("stock", "active", "suspended", "retired")

METER: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"stock", "installed"}),
    "stock": frozenset({"planned", "installed"}),
    "installed": frozenset({"commissioned", "removed"}),
    "commissioned": frozenset({"removed"}),
    "removed": frozenset({"stock", "installed"}),
}
GATEWAY: Mapping[str, frozenset[str]] = {
    "planned": frozenset({"stock", "installed"}),
    "stock": frozenset({"planned", "installed"}),
    "installed": frozenset({"removed"}),
    "removed": frozenset({"stock", "installed"}),
}
SIM: Mapping[str, frozenset[str]] = {
    "stock": frozenset({"active", "retired"}),
    "active": frozenset({"suspended", "retired"}),
    "suspended": frozenset({"active", "retired"}),
    "retired": frozenset(),
}


def step(table: Mapping[str, frozenset[str]], what: str, present: str, wanted: str) -> None:
    """Checks that one state may follow another; the same again is no step.

    Raises:
        Forbidden: it may not; the text names those that may.
    """
    if wanted == present or wanted in table.get(present, ()):
        return
    may = " or ".join(sorted(table.get(present, ()))) or "nothing else any more"
    raise Forbidden(
        worded(
            "{what} is {present}; from there it becomes {may}, not {wanted}",
            what=what,
            present=present,
            may=may,
            wanted=wanted,
        )
    )


def in_service(table: type[Meter] | type[Gateway] = Meter) -> ColumnElement[bool]:
    """Returns the condition that a meter, or a gateway, is where it is expected to work."""
    return and_(table.life.in_(IN_SERVICE), table.deleted_at.is_(None))
