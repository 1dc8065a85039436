"""The latest-value cache: fed by committed rows, rebuilt from the store."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.giving_way import NO_RESTS
from hesper_cloud.jobs import slow_jobs
from hesper_cloud.latest import LatestValues, value_before
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import StoreSettings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Integers
from hesper_contracts import columns
from hesper_contracts.readings import (
    LOAD_PROFILE,
    REGISTER_SNAPSHOT,
    MeterRows,
    Quantity,
    Section,
)
from hypothesis import given
from hypothesis import strategies as st

T0 = 1_790_000_100
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
POWER = Quantity(bytes((1, 0, 1, 7, 0, 255)), 0, 27)
KILO = Quantity(POWER.logical_name, 3, 27)
ENERGY_NAME, POWER_NAME = "1.0.1.8.0.255", "1.0.1.7.0.255"


def block(
    rows: dict[str, list[tuple[int, int | None]]],
    quantity: Quantity = ENERGY,
    *,
    received_at: int = T0 + 10**6,
    profile: bytes = LOAD_PROFILE,
) -> Block:
    meters = [
        MeterRows(m, [t for t, _ in p], [0] * len(p), [0] * len(p), [[v for _, v in p]])
        for m, p in rows.items()
    ]
    section = Section(profile, received_at, (quantity,), meters)
    return block_of(columns.from_sections([section])[0])


def take(latest: LatestValues, taken: Block, accepted: list[bool] | None = None) -> None:
    mask = np.ones(taken.row_count, dtype=bool) if accepted is None else np.array(accepted)
    latest.take(taken, mask, T0 + 5)


def test_the_newest_accepted_row_of_each_meter_is_kept() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0, 1), (T0 + 900, 2)], "B": [(T0, 7)]}))
    take(latest, block({"A": [(T0 + 300, 9)]}))
    take(latest, block({"B": [(T0 + 900, 8)]}), accepted=[False])
    (found,) = latest.of("A")
    assert (found.value, found.captured_at, found.stored_at) == (2, T0 + 900, T0 + 5)
    assert latest.of("B")[0].value == 7
    assert latest.of("nobody") == []


def test_the_first_capture_of_a_meter_that_was_not_there_is_told_once() -> None:
    latest, yes = LatestValues(), np.ones(3, dtype=bool)
    both = block({"A": [(T0, 1), (T0 + 900, 2)], "B": [(T0 + 300, 7)]})
    assert latest.take(both, np.array([False, False, False]), T0) == {}
    assert latest.take(both, np.array([False, True, True]), T0) == {"A": T0 + 900, "B": T0 + 300}
    assert latest.take(both, yes, T0) == {}
    of_another_layout = block({"A": [(T0, 1)], "C": [(T0, 1)]}, POWER)
    assert latest.take(of_another_layout, np.ones(2, dtype=bool), T0) == {"C": T0}
    of_another_profile = block({"A": [(T0, 1)]}, POWER, profile=REGISTER_SNAPSHOT)
    assert latest.take(of_another_profile, np.ones(1, dtype=bool), T0) == {"A": T0}


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 5), st.booleans()), max_size=8),
    st.booleans(),
)
def test_a_block_in_any_order_leaves_what_its_rows_leave_one_by_one(
    told: list[tuple[str, int, bool]], in_order: bool
) -> None:
    """Blocks that ascend meter by meter, all new, are the usual case; the others have to hold."""
    if in_order:
        told = [(meter, at, True) for meter, at in sorted({(m, t) for m, t, _ in told})]
    rows = [(meter, T0 + at, value) for value, (meter, at, _) in enumerate(told)]
    whole, single = LatestValues(), LatestValues()
    mask = np.array([new for _, _, new in told], dtype=bool)
    firsts = whole.take(scattered(rows), mask, T0 + 5)
    for row, new in zip(rows, mask, strict=True):
        single.take(scattered([row]), np.array([new]), T0 + 5)
    for meter in "ABC":
        assert whole.of(meter) == single.of(meter)
        times = [at for (m, at, _), new in zip(rows, mask, strict=True) if m == meter and new]
        assert firsts.get(meter) == min(times, default=None)


def scattered(rows: list[tuple[str, int, int]]) -> Block:
    """A block in which meters come back, and go back in time, as joined blocks may."""
    runs = [(meter, len(list(run))) for meter, run in groupby(rows, itemgetter(0))]
    return replace(
        block({"A": [(T0, 0)]}),
        meters=tuple(meter for meter, _ in runs),
        meter_index=np.repeat(np.arange(len(runs)), [length for _, length in runs]),
        captured_at=np.array([at for _, at, _ in rows], dtype=np.int64),
        clock_status=np.zeros(len(rows), dtype=np.uint8),
        quality=np.zeros(len(rows), dtype=np.int64),
        values=np.array([[value for _, _, value in rows]], dtype=np.int64),
    )


def test_the_newest_profile_answers_for_a_quantity_and_a_null_is_none() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0 + 60, 5)]}, profile=REGISTER_SNAPSHOT))
    take(latest, block({"A": [(T0, 4)]}))
    found = latest.value("A", ENERGY_NAME)
    assert found is not None
    assert (found.value, found.profile) == (5, "0.0.21.0.1.255")
    take(latest, block({"A": [(T0 + 900, None)]}))
    found = latest.value("A", ENERGY_NAME)
    assert found is not None
    assert found.value is None


def test_a_clock_set_ahead_does_not_hold_its_place_for_ever() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0 + 10**9, 1)]}, received_at=T0))
    take(latest, block({"A": [(T0 + 60, 2)]}, received_at=T0 + 60))
    assert latest.of("A")[0].value == 2


def test_totals_bring_scalers_together_and_leave_out_old_values() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0, 1500)], "old": [(T0 - 9999, 70)]}, POWER))
    take(latest, block({"B": [(T0, 2)]}, KILO))
    total = latest.total(POWER_NAME, T0 - 60)
    assert total is not None
    assert (total.value, total.scaler, total.unit, total.meters) == (3500, 0, 27, 2)
    assert total.newest_at == T0
    assert latest.total("1.0.99.7.0.255", 0) is None


def test_one_odd_meter_changes_no_total_and_a_refused_one_was_never_seen() -> None:
    latest = LatestValues()
    take(latest, block({"odd": [(T0, 9)]}, Quantity(POWER.logical_name, 0, 35)))
    take(latest, block({"A": [(T0, 1500)], "B": [(T0, 20)]}, POWER))
    take(latest, block({"finer": [(T0, 9)]}, Quantity(POWER.logical_name, -100, 27)))
    take(latest, block({"huge": [(T0, 2**63 - 1)], "low": [(T0, -(2**63))]}, POWER))
    take(latest, block({"vast": [(T0, 1001)]}, Quantity(POWER.logical_name, 9, 27)))
    total = latest.total(POWER_NAME, 0)
    assert total is not None
    assert (total.value, total.scaler, total.unit, total.meters) == (1520, 0, 27, 2)
    latest.previous(block({"refused": [(T0, 1)]}, POWER))
    assert "refused" not in latest.last_captured()


def test_changes_are_told_by_version() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0, 1)], "B": [(T0, 1)]}))
    version, changed = latest.changed_since(0)
    assert changed == {"A", "B"}
    take(latest, block({"B": [(T0 + 1, 2)]}))
    assert latest.changed_since(version)[1] == {"B"}
    assert latest.changed_since(latest.changed_since(0)[0])[1] == set()


def test_many_meters_grow_the_tables() -> None:
    latest = LatestValues()
    take(latest, block({f"M{n}": [(T0, n)] for n in range(1000)}))
    assert [latest.of(f"M{n}")[0].value for n in (0, 500, 999)] == [0, 500, 999]
    assert len(latest.last_captured()) == 1000


def test_the_value_before_comes_from_the_block_or_the_cache() -> None:
    latest = LatestValues()
    take(latest, block({"A": [(T0, 10)]}))
    following = block({"A": [(T0 + 900, 11), (T0 + 1800, 12)], "B": [(T0, 5)]})
    before, known = value_before(following, 0, latest.previous(following))
    assert known.tolist() == [True, True, False]
    assert before[:2].tolist() == [10, 11]


def test_it_is_rebuilt_from_the_store(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "readings.duckdb")
    rows = (
        block({"A": [(T0, 1), (T0 + 900, None)], "B": [(T0, 7)]}),
        block({"A": [(T0 + 1, 3)]}, POWER),
    )
    store.write(Group({}, rows, (T0 + 5) * 1000))
    live, rebuilt = LatestValues(), LatestValues()
    for each in rows:
        take(live, each)
    rebuilt.load(store)
    for meter in ("A", "B"):
        assert rebuilt.of(meter) == live.of(meter)
    store.close()


class Shared(DuckDbStore):
    """A store that somebody else erases from while it is read."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        rows = list(super().latest_rows())
        self.meanwhile()
        yield from rows


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    store = Shared(tmp_path / "readings.duckdb")
    yield store
    store.close()


def test_what_other_consumers_stored_is_seen_and_nothing_else_is_news(shared: Shared) -> None:
    latest = LatestValues()
    ours = block({"A": [(T0, 1)], "B": [(T0 + 900, 2)]})
    take(latest, ours)
    shared.write(Group({}, [ours], (T0 + 5) * 1000))
    shared.write(Group({}, [block({"A": [(T0 + 900, 3)], "C": [(T0, 4)]})], (T0 + 950) * 1000))
    version, _ = latest.changed_since(0)
    latest.refresh(shared)
    assert [latest.of(meter)[0].value for meter in "ABC"] == [3, 2, 4]
    version, changed = latest.changed_since(version)
    assert changed == {"A", "C"}
    latest.refresh(shared)
    assert latest.changed_since(version) == (version, set())


@pytest.mark.parametrize(("alone", "count"), [(True, 0), (False, 1)])
def test_a_head_end_that_is_not_alone_asks_for_what_others_stored(
    head_end: Any, shared: Shared, tmp_path: Path, alone: bool, count: int
) -> None:
    store = StoreSettings(kind="influx", sole_writer=alone)
    sources = Sources(
        head_end.settings.model_copy(update={"store": store}), head_end.databases.registry,
        head_end.databases.authority, shared, LatestValues(), head_end.clock,
    )  # fmt: skip
    shared.write(Group({}, [block({"A": [(T0, 1)]})], (T0 + 5) * 1000))
    with closing(EnergyBook(tmp_path / "energy.duckdb")) as book:
        listed = slow_jobs(sources, book, NO_RESTS)
    for job in (job for job in listed if job.name == "values of other consumers"):
        job.action()
    assert len(sources.latest.of("A")) == count


def test_what_is_erased_while_the_store_is_read_does_not_come_back(shared: Shared) -> None:
    latest = LatestValues()
    shared.write(Group({}, [block({"A": [(T0, 1)]})], (T0 + 5) * 1000))
    latest.load(shared)
    shared.meanwhile = lambda: latest.forget("A")
    latest.refresh(shared)
    assert latest.of("A") == []


def test_one_quantity_of_all_meters_at_once() -> None:
    latest = LatestValues()
    assert latest.newest(POWER_NAME).meters == []
    take(latest, block({"A": [(T0, 5)], "B": [(T0, 7)], "C": [(T0, None)]}, POWER))
    take(latest, block({"B": [(T0 + 60, 2)], "A": [(T0 - 60, 9)]}, KILO))
    found = latest.newest(POWER_NAME)
    rows = zip(found.meters, found.values, found.scalers, found.captured_at, strict=True)
    assert sorted((m, int(v), int(s), int(t)) for m, v, s, t in rows) == [
        ("A", 5, 0, T0),
        ("B", 2, 3, T0 + 60),
    ]
    assert set(found.units) == {27}
