"""What commands have the gateway do to itself: restart, take another configuration."""

from hesper_gateway.own.configuration import Configurator
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
    "start_again",
]
