"""What can be broken on request while the fleet runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hesper_sim.errors import FleetError

SAG_PERMILLE: Final = 160
DRIFT_S: Final = 300
SLOW_S: Final = 3.0


class Fault(StrEnum):
    """Everything that `hesper-sim fault` can ask for; the last two are faults of a line."""

    SILENT = "silent"
    """Requests arrive and nothing comes back."""
    SLOW = "slow"
    """Every answer comes three seconds late."""
    VOLTAGE_SAG = "voltage_sag"
    """All phases 16 % low, outside EN 50160."""
    COVER_OPENED = "cover_opened"
    """The cover was opened; closed again at the end."""
    REVERSE_ENERGY = "reverse_energy"
    """Import and export are swapped: the meter was turned round."""
    RELAY_REJECTED = "relay_rejected"
    """The meter refuses to move its relay."""
    RELAY_WELDED = "relay_welded"
    """The meter says that it disconnected, and the output stays on."""
    CLOCK_DRIFT = "clock_drift"
    """The clock runs five minutes ahead until it is set."""
    LINE_NOISE = "line_noise"
    """Stray octets between the frames of a serial line."""
    LINE_ECHO = "line_echo"
    """The line repeats what the gateway sends."""


LINE_FAULTS: Final = frozenset({Fault.LINE_NOISE, Fault.LINE_ECHO})


def parse(name: str) -> Fault:
    """Return the fault of this name; FleetError lists what there is."""
    try:
        return Fault(name.replace("-", "_"))
    except ValueError:
        known = ", ".join(Fault)
        raise FleetError(f"there is no fault {name!r}; there are {known}") from None
