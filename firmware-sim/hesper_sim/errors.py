"""The simulator's own errors.

SimulatorError
├── FleetError     fleet.toml or a request names something that cannot be: fix the input
└── JournalError   the journal is not ours or is damaged before its end: keep the file, ask a person
"""


class SimulatorError(Exception):
    """Anything that this package raises."""


class FleetError(SimulatorError):
    """The described fleet, meter or fault does not exist or cannot be built."""


class JournalError(SimulatorError):
    """The journal cannot be read or does not belong to this fleet."""
