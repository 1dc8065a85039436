"""Runs in the rows of a mask: what many checks and the verdicts are made of."""

import numpy as np

from hesper_cloud.stores.port import Flags, Integers


def edges(mask: Flags) -> tuple[Integers, Integers, Integers]:
    """Returns row, first column and column after the last of every run in a mask."""
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(padded, axis=1)
    rows, begins = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return rows, begins, ends


def of_at_least(mask: Flags, length: int) -> Flags:
    """Returns the parts of a mask that belong to runs of at least ``length`` columns."""
    rows, begins, ends = edges(mask)
    long = ends - begins >= length
    change = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.int16)
    np.add.at(change, (rows[long], begins[long]), 1)
    np.add.at(change, (rows[long], ends[long]), -1)
    inside: Flags = np.cumsum(change, axis=1)[:, :-1] > 0
    return inside
