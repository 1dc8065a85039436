"""What commands have the gateway do to itself: restart, take another configuration."""

from hesper_gateway.own.configuration import Configurator, check_files
from hesper_gateway.own.errands import Everything, OwnErrand, OwnErrands
from hesper_gateway.own.restart import Restarter, RestartWanted, start_again
from hesper_gateway.own.trial import ConfigurationFile, Trial

__all__ = [
    "ConfigurationFile",
    "Configurator",
    "Everything",
    "OwnErrand",
    "OwnErrands",
    "RestartWanted",
    "Restarter",
    "Trial",
    "check_files",
    "start_again",
]
