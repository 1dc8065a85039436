"""Ranges of time that hold the capture times of a group, and little else.

A meter whose clock says 2000 must not make a question about its group one about all years since.
"""

import numpy as np

from hesper_cloud.stores.port import Integers

_APART_S = 86_400
_MOST = 16


def runs(captured_at: Integers) -> list[tuple[int, int]]:
    """Returns half-open ranges, ascending, that hold all times and leave the widest gaps out."""
    if not len(captured_at):
        return []
    first, last = int(captured_at.min()), int(captured_at.max())
    if last - first <= _APART_S:
        return [(first, last + 1)]
    ordered = np.sort(captured_at)
    gaps = np.diff(ordered)
    widest = np.argsort(gaps)[-(_MOST - 1) :]
    ends = np.sort(widest[gaps[widest] > _APART_S])
    begins = ordered[np.r_[0, ends + 1]].tolist()
    return list(zip(begins, (ordered[np.r_[ends, -1]] + 1).tolist(), strict=True))
