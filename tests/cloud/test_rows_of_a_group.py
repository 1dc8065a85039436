"""Rows of a group that repeat an identity, against a plain set."""

import numpy as np
from hesper_cloud.stores.rows import Rows, first_of_identity
from hypothesis import given
from hypothesis import strategies as st

PROFILE = st.integers(0, 1)
ROW = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 255]))


def rows(found: list[tuple[int, int, int]]) -> Rows:
    meter, captured, status = (
        np.array([row[place] for row in found], dtype=np.int64) for place in range(3)
    )
    nothing = np.zeros(len(found), dtype=np.int64)
    return Rows("p", (), meter, captured, status, nothing, nothing, nothing[None], None, (), ())


@given(st.lists(st.tuples(PROFILE, st.lists(ROW, min_size=1, max_size=8)), min_size=1, max_size=4))
def test_the_first_of_each_identity_is_found(parts):
    masks = first_of_identity(
        [rows(found) for _, found in parts], [profile for profile, _ in parts]
    )
    seen: set[tuple[int, ...]] = set()
    for (profile, found), mask in zip(parts, masks, strict=True):
        for row, is_first in zip(found, mask.tolist(), strict=True):
            assert is_first == ((profile, *row) not in seen)
            seen.add((profile, *row))


@given(st.lists(st.lists(st.integers(0, 50), unique=True, min_size=1), min_size=1, max_size=4))
def test_meters_that_stand_once_and_ascend_repeat_nothing(times):
    found = [(meter, at, 0) for meter, each in enumerate(times) for at in sorted(each)]
    (mask,) = first_of_identity([rows(found)], [0])
    assert mask.all()
