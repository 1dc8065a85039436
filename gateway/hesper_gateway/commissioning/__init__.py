"""A new meter, checked hop by hop while an installer watches; see `walk`."""

from hesper_gateway.commissioning.steps import Hop, Outcome, Step
from hesper_gateway.commissioning.walk import walk

__all__ = ["Hop", "Outcome", "Step", "walk"]
