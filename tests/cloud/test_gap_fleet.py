"""What is due and what is stored are compared in columns, with what one meter's grid would say."""

from collections.abc import Sequence

import numpy as np
import pytest
from hesper_cloud.gaps import fleet
from hesper_cloud.gaps.fleet import Case
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.rows import GapRow
from hesper_cloud.gaps.runs import Due, Grid, Run, phase_of

T0 = 1_790_000_100
PERIODS = (5, 60, 900, 3600)


def a_case(random: np.random.Generator, place: int) -> Case:
    """A meter with holes, late captures, captures outside of what is due, or none at all."""
    period_s = int(random.choice(PERIODS))
    slots = int(random.integers(0, 60))
    phase = int(random.integers(0, period_s))
    every = (T0 // period_s + np.arange(-4, slots + 4)) * period_s + phase
    late = (random.random(len(every)) < 0.1) * (period_s // 5)
    times = (every + late)[random.random(len(every)) < random.choice([0.0, 0.4, 0.9, 1.0])]
    due = Due(T0, T0 + slots * period_s, period_s, phase=int(random.integers(0, period_s)))
    return Case(FleetMeter(f"M{place}", "gw-1", None, None), times, due, [], doubtful=False)


def grid_of(case: Case) -> Grid:
    start, end, period_s, phase = case.due
    seen = phase_of(case.times, period_s) if len(case.times) else phase
    return Grid.over(start, end, period_s, seen)


def runs_of(case: Case) -> list[Run]:
    grid = grid_of(case)
    return grid.runs(grid.missing(case.times))


def rows_of(case: Case) -> list[GapRow]:
    return [
        GapRow(place, case.meter.id, "profile", *run, "line")
        for place, run in enumerate(runs_of(case))
    ]


def cases(count: int) -> list[Case]:
    random = np.random.default_rng(20_261_121)
    return [a_case(random, place) for place in range(count)]


def test_columns_find_the_runs_that_each_meters_grid_finds() -> None:
    doubtful = [case._replace(doubtful=True) for case in cases(2500)]
    found = list(fleet.findings(doubtful))
    assert [finding.case.meter.id for finding in found] == [case.meter.id for case in doubtful]
    for finding in found:
        assert finding.grid == grid_of(finding.case)
        assert finding.runs == runs_of(finding.case)


def test_only_meters_whose_rows_are_not_what_is_missing_are_found() -> None:
    true = [case._replace(rows=rows_of(case)) for case in cases(1500)]
    assert list(fleet.findings(true)) == []
    with_gaps = [place for place, case in enumerate(true) if case.rows]
    for place, column in zip(with_gaps[::100], ("first", "last", "count") * 9, strict=False):
        row = true[place].rows[-1]
        setattr(row, column, getattr(row, column) + 1)
    lost = with_gaps[50]
    true[lost] = true[lost]._replace(rows=true[lost].rows[1:])
    found = [finding.case.meter.id for finding in fleet.findings(true)]
    assert found == [f"M{place}" for place in sorted({*with_gaps[::100], lost})]


def test_a_meter_with_a_row_from_before_what_is_judged_is_found() -> None:
    case = next(case for case in cases(50) if len(runs_of(case)) > 1)
    before = GapRow(0, case.meter.id, "profile", T0 - 9000, T0 - 8000, 2, "line")
    known = case._replace(rows=[before, *rows_of(case)])
    (found,) = fleet.findings([known])
    assert found.runs == runs_of(case)


def test_meters_that_capture_often_are_looked_at_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doubtful = [case._replace(doubtful=True) for case in cases(300)]
    usual = [(each.grid, each.runs) for each in fleet.findings(doubtful)]
    together: list[int] = []
    of = fleet._Grids.of

    def noted(some: Sequence[Case]) -> fleet._Grids:
        grids = of(some)
        together.append(int(grids.slots.sum()))
        return grids

    monkeypatch.setattr(fleet, "SLOTS_AT_ONCE", 100)
    monkeypatch.setattr(fleet._Grids, "of", noted)
    assert [(each.grid, each.runs) for each in fleet.findings(doubtful)] == usual
    assert len(together) > 50
    assert max(together) <= 100


def test_no_meters_and_meters_of_which_nothing_came() -> None:
    assert list(fleet.findings([])) == []
    silent = Case(FleetMeter("M", None, None, 900), np.zeros(0, dtype=np.int64),
                  Due(T0, T0 + 1800, 900, 0), [], doubtful=False)  # fmt: skip
    (found,) = fleet.findings([silent])
    assert [run.length for run in found.runs] == [3]
