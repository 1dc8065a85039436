"""How versions of one reading are told apart on InfluxDB."""

import numpy as np
import pytest
from hesper_cloud.stores.influx_versions import Sorted, Versions
from hesper_cloud.stores.port import Quantity, StoreRefused
from hesper_cloud.stores.rows import Rows

T0 = 1_790_000_100


def sorted_out(values: range) -> Sorted:
    """Sorts out rows of one meter and time, before which nothing was stored."""
    count = len(values)
    none = np.zeros(count, np.int64)
    part = Rows(
        "1.0.99.1.0.255", (Quantity("1.0.1.8.0.255", 0, 30),), none, np.full(count, T0), none, none,
        none, np.array([values]), None, (0,), (count,),
    )  # fmt: skip
    (found,) = Versions(["M1"]).sort_out([part], [np.ones(count, dtype=bool)])
    return found


def test_a_version_is_called_the_same_whenever_it_comes_and_unlike_the_others() -> None:
    found = sorted_out(range(1000))
    tags = {row: each.revision for row, each in found.conflicts.items()}
    assert len(set(tags.values())) == 999
    assert all(len(tag) == 4 for tag in tags.values())  # the server takes few values of a tag
    later = sorted_out(range(500, 510)).conflicts
    assert {row: each.revision for row, each in later.items()} == {
        row: tags[row + 500] for row in later
    }


def test_a_meter_that_says_ever_more_of_one_time_holds_up_nobody() -> None:
    with pytest.raises(StoreRefused, match="M1 has 1000 versions of what") as refusal:
        sorted_out(range(1001))
    assert refusal.value.captures == {("M1", T0)}
