"""Load curves, grid and meters are pure functions that agree with each other."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest
from hesper_sim.fleet import FleetSettings, Kind, plan
from hesper_sim.grid import Feeder
from hesper_sim.history import History
from hesper_sim.load import ANCHOR, CYCLE_S, CYCLES_PER_YEAR, SLOT_S, LoadModel, scale_of
from hesper_sim.meter import JOULES_PER_WH, Flow, Meter


class Steady(NamedTuple):
    """A home that always draws the same."""

    place: int
    load_w: int

    def net_load_w(self, at: int) -> int:
        del at
        return self.load_w


NOON = ANCHOR + 700 * 86_400 + 12 * 3600
DAY_S = 86_400


@pytest.fixture(scope="module")
def model() -> LoadModel:
    return LoadModel(1)


@pytest.fixture
def meter(model) -> Meter:
    planned = plan(FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0)).meters[0]
    return Meter(planned, model.curve(planned.kind, 0), Feeder(), 100)


@pytest.mark.parametrize("kind", Kind)
def test_energy_is_the_sum_of_power(model, kind):
    curve = model.curve(kind, 3)
    start = NOON // SLOT_S * SLOT_S
    total = curve.energy_j(start + DAY_S, 1000).active_import - curve.energy_j(start, 1000)[0]
    parts = [
        curve.energy_j(at + SLOT_S, 1000).active_import - curve.energy_j(at, 1000).active_import
        for at in range(start, start + DAY_S, SLOT_S)
    ]
    assert sum(parts) == total
    assert min(parts) >= 0


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("at", [ANCHOR, NOON, NOON + SLOT_S // 3, NOON + 3 * CYCLE_S - 1])
def test_the_import_alone_is_the_same_as_among_the_others(model, kind, at):
    for index in range(10):
        curve, scale = model.curve(kind, index), scale_of(index)
        assert curve.import_j(at, scale) == curve.energy_j(at, scale).active_import


@pytest.mark.parametrize("flow", Flow)
def test_the_import_register_alone_is_the_same_as_among_the_others(meter, flow):
    assert meter.import_wh(NOON) == meter.energy_wh(NOON).active_import
    meter.count_as(flow, NOON)
    for at in (NOON - DAY_S, NOON, NOON + DAY_S):
        assert meter.import_wh(at) == meter.energy_wh(at).active_import


@pytest.mark.parametrize("kind", Kind)
def test_thirteen_times_four_weeks_repeat(model, kind):
    curve, year = model.curve(kind, 0), CYCLE_S * CYCLES_PER_YEAR
    first, second, third = (curve.energy_j(NOON + n * year, 1000) for n in range(3))
    growth = [b - a for a, b in zip(first, second, strict=True)]
    again = [c - b for b, c in zip(second, third, strict=True)]
    assert all(abs(a - b) <= 2 for a, b in zip(growth, again, strict=True))


def shape_of(curve, scale: int, start: int) -> list[float]:
    """Return a week of hourly consumption, divided by its mean."""
    energies = [curve.energy_j(start + hour * 3600, scale).active_import for hour in range(169)]
    used = [b - a for a, b in pairwise(energies)]
    mean = sum(used) / len(used) or 1.0
    return [each / mean for each in used]


@pytest.mark.parametrize("kind", Kind)
def test_no_two_places_have_the_same_shape(model, kind):
    start = ANCHOR + 100 * 7 * DAY_S
    shapes = [shape_of(model.curve(kind, i), scale_of(i), start) for i in range(120)]
    for place, first in enumerate(shapes):
        for second in shapes[:place]:
            assert max(abs(a - b) for a, b in zip(first, second, strict=True)) > 0.02


def test_ten_years_back_are_reproducible_and_know_winter(model):
    warm, cold = ANCHOR - 3_500 * DAY_S, ANCHOR + 13 * CYCLE_S
    for index in range(40):
        curve, scale = model.curve(Kind.HOUSEHOLD, index), scale_of(index)
        again = LoadModel(1).curve(Kind.HOUSEHOLD, index) if index < 4 else curve
        assert curve.energy_j(warm, scale) == again.energy_j(warm, scale)
        assert curve.energy_j(warm + DAY_S, scale)[0] > curve.energy_j(warm, scale)[0]
    used = {
        month: sum(
            model.curve(Kind.HOUSEHOLD, i).energy_j(cold + (month + 1) * CYCLE_S, 1000)[0]
            - model.curve(Kind.HOUSEHOLD, i).energy_j(cold + month * CYCLE_S, 1000)[0]
            for i in range(64)
        )
        for month in (0, 6)
    }
    assert used[0] > 1.08 * used[6]


def test_a_day_is_plausible(model):
    def day_wh(kind, index):
        curve = model.curve(kind, index)
        start, end = curve.energy_j(NOON, 1000), curve.energy_j(NOON + 28 * DAY_S, 1000)
        return [(b - a) // JOULES_PER_WH // 28 for a, b in zip(start, end, strict=True)]

    for index in range(8):
        household, shop, solar = (day_wh(kind, index) for kind in Kind)
        assert 4_000 < household[0] < 45_000
        assert household[1] == 0
        assert 15_000 < shop[0] < 90_000
        assert solar[1] > 2_000
        assert household[0] < household[3]


def test_the_same_seed_draws_the_same_curve_in_every_process(model):
    energy = model.curve(Kind.HOUSEHOLD, 0).energy_j(NOON, 1000)
    assert energy == LoadModel(1).curve(Kind.HOUSEHOLD, 0).energy_j(NOON, 1000)
    assert energy != LoadModel(2).curve(Kind.HOUSEHOLD, 0).energy_j(NOON, 1000)


def test_voltage_falls_with_load_and_distance_and_rises_with_sun():
    def voltages(load_w: int, place: int) -> tuple[int, int, int]:
        feeder = Feeder()
        feeder.connect(Steady(place, load_w))
        return feeder.voltages_dv(NOON, place)

    idle, loaded, delivering = (voltages(load, 5) for load in (0, 6000, -6000))
    assert all(a > b for a, b in zip(idle, loaded, strict=True))
    assert all(a < b for a, b in zip(idle, delivering, strict=True))
    assert all(a > b for a, b in zip(voltages(6000, 0), voltages(6000, 9), strict=True))


def test_a_demo_day_stays_inside_en_50160(model):
    feeders: dict[int, Feeder] = {}
    meters = [
        Meter(
            each, model.curve(each.kind, each.index), feeders.setdefault(each.feeder, Feeder()), 1
        )
        for each in plan().meters
    ]
    for at in range(NOON, NOON + 7 * DAY_S, 3600):
        for meter in meters:
            assert all(2070 <= voltage <= 2530 for voltage in meter.voltages_dv(at))


def test_a_disconnected_home_uses_nothing_and_goes_on_from_there(meter):
    before = meter.energy_j(NOON)
    meter.count_as(Flow.CUT, NOON)
    assert meter.energy_j(NOON + 3600) == before
    assert meter.power_w(NOON + 3600) == (0, 0, 0, 0)
    assert meter.net_load_w(NOON + 3600) == 0
    assert meter.measure(NOON + 3600).currents_ca == (0, 0, 0)
    meter.count_as(Flow.NORMAL, NOON + 3600)
    later = meter.energy_j(NOON + 7200)
    assert later.active_import > before.active_import
    whole = meter._curve.energy_j(NOON + 7200, scale_of(0)).active_import
    assert later.active_import < whole


def test_reversed_energy_counts_the_other_way(meter):
    before = meter.energy_j(NOON)
    meter.count_as(Flow.REVERSED, NOON)
    after = meter.energy_j(NOON + 3600)
    assert after.active_import == before.active_import
    assert after.active_export > before.active_export
    assert meter.power_w(NOON + 3600).active_import == 0


def test_values_agree_with_each_other(meter):
    measured = meter.measure(NOON)
    by_phase = sum(
        volts * amperes // 1000
        for volts, amperes in zip(measured.voltages_dv, measured.currents_ca, strict=True)
    )
    assert by_phase == pytest.approx(measured.power.apparent, abs=12)
    assert 900 < measured.power_factor_permille <= 1000
    assert meter.capture(NOON)[4:7] == measured.voltages_dv


def test_history_does_not_change_with_what_happens_later(meter):
    history = History(born_at=NOON, capture_period_s=900, span_s=30 * DAY_S)
    rows = history.rows(meter, 0, NOON - 1)
    assert len(rows) == 30 * 96 - 1
    assert rows[-1].captured_at == NOON - 900
    meter.count_as(Flow.CUT, NOON)
    meter.sag_permille, meter.sag_from = 160, NOON
    assert history.rows(meter, 0, NOON - 1) == rows


def test_history_and_latched_rows_join_and_the_oldest_go(meter):
    history = History(born_at=NOON, capture_period_s=900, span_s=30 * DAY_S)
    first = NOON
    for at in range(first, first + 4 * 900, 900):
        meter.profile.append(at, meter.capture(at))
    now = first + 3 * 900
    rows = history.rows(meter, 0, now)
    times = [row.captured_at for row in rows]
    assert times == list(range(times[0], now + 1, 900))
    assert len(rows) == history.depth == history.entries_in_use(meter)
    assert [row.captured_at for row in history.rows(meter, now - 900, now)] == times[-2:]


def test_weeks_without_power_overwrite_nothing(meter):
    history = History(born_at=NOON, capture_period_s=900, span_s=30 * DAY_S)
    before = [NOON + number * 900 for number in range(4)]
    back = NOON + 60 * DAY_S
    for at in (*before, back):
        meter.profile.append(at, meter.capture(at))
    times = [row.captured_at for row in history.rows(meter, 0, back)]
    assert times[-6:] == [NOON - 900, *before, back]
    assert len(times) == history.depth == history.entries_in_use(meter)
    assert [row.captured_at for row in history.rows(meter, before[2], back)] == times[-3:]
