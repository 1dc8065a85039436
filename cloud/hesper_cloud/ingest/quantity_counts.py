"""What was stored, counted by quantity and by quality flag, a joined block at a time."""

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud import metrics
from hesper_cloud.quantities import NAMES
from hesper_cloud.stores.port import Block, Flags, Integers


def count_values(block: Block, new: Flags) -> None:
    """Counts new readings' values, and those with a quality flag."""
    count = int(np.count_nonzero(new))
    if not count:
        return
    for quantity in block.quantities:
        name = quantity.logical_name
        metrics.VALUES.labels(name if name in NAMES else metrics.OTHER).inc(count)
    _count_doubts(block.quality[new])


def _count_doubts(quality: Integers) -> None:
    found = int(np.bitwise_or.reduce(quality))
    for flag in Quality:
        if found & flag:
            count = int(np.count_nonzero(quality & int(flag)))
            metrics.DOUBTED.labels((flag.name or metrics.OTHER).lower()).inc(count)
