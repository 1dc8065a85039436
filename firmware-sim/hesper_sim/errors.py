"""The simulator's own errors.

SimulatorError
├── FleetError     fleet.toml or a request names something that cannot be: fix the input
│   └── ScenarioError   the same for a scenario file, with its line
└── JournalError   the journal is not ours or is damaged before its end: keep the file, ask a person
"""


class SimulatorError(Exception):
    """Anything that this package raises."""


class FleetError(SimulatorError):
    """The described fleet, meter or fault does not exist or cannot be built."""


class ScenarioError(FleetError):
    """A scenario file is wrong; the message names file and line."""


class JournalError(SimulatorError):
    """The journal cannot be read or does not belong to this fleet."""
