"""From stored readings to days of energy, scores, verdicts and estimates."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hesper_cloud.aggregates import work
from hesper_cloud.db.energy import DirtyDay, Substitute
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.substitutes import Curve, Edit
from hesper_cloud.validation.surroundings import far
from hesper_contracts.quality import Quality
from sqlalchemy import select

QUARTER = 900
SUMS = "SELECT day, list_sum(sums), list_sum(counts), list_sum(estimated), len(sums) FROM days"


def days(plant: Any, meter: str = "M1", name: str = "1.0.1.8.0.255") -> dict[date, tuple[int, ...]]:
    query = f"{SUMS} WHERE meter = $meter AND logical_name = $name ORDER BY day"
    return {row[0]: row[1:] for row in plant.book.rows(query, meter=meter, name=name)}


def scores(plant: Any, meter: str = "M1") -> dict[date, tuple[int, ...]]:
    query = "SELECT day, score, expected, stored, estimated FROM scores WHERE meter = $meter"
    return {row[0]: row[1:] for row in plant.book.rows(query, meter=meter)}


def verdicts(plant: Any, check: str) -> list[tuple[Any, ...]]:
    query = "SELECT meter, logical_name, from_at, to_at, captures FROM verdicts"
    where = "check_name = $check AND day = DATE '2026-06-01'"
    return plant.book.rows(f"{query} WHERE {where} ORDER BY ALL", check=check)


def estimates(plant: Any) -> list[Substitute]:
    query = select(Substitute).where(Substitute.withdrawn_at.is_(None))
    with reading(plant.engine) as session:
        return list(session.scalars(query.order_by(Substitute.captured_at)))


@pytest.mark.parametrize(
    ("day", "intervals", "half_hours"),
    [("2026-03-29", 92, 46), ("2026-10-25", 100, 50), ("2026-06-01", 96, 48)],
)
def test_a_day_has_23_24_or_25_hours_as_the_zone_has_it(plant, day, intervals, half_hours):
    start, following = plant.at(day), date.fromordinal(date.fromisoformat(day).toordinal() + 1)
    plant.put("M1", plant.register(start, plant.at(following.isoformat())))
    plant.settle()
    found = days(plant)[date.fromisoformat(day)]
    assert found == (25 * intervals, intervals, 0, half_hours)
    assert scores(plant)[date.fromisoformat(day)] == (100, intervals, intervals, 0)
    assert plant.work.turn() == 0


@pytest.mark.parametrize("first", ["2026-03-27", "2026-10-23"])
@pytest.mark.parametrize("period_s", [900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400])
def test_days_add_up_across_the_change_of_the_clock(plant, period_s, first):
    plant.add_meter("M1")
    plant.set_period("M1", period_s)
    rows = plant.by_the_wall(first, 6, period_s)
    plant.put("M1", rows)
    plant.settle()
    whole = [plant.day(first, number) for number in range(6)]
    found, scored = days(plant), scores(plant)
    assert sum(found[day][0] for day in whole) == max(rows.values()) - min(rows.values())
    assert [(found[day][2], scored[day][0]) for day in whole] == [(0, 100)] * 6


def test_meters_are_read_together_and_each_keeps_its_own_values(plant, monkeypatch):
    monkeypatch.setattr(plant.store, "meters_at_once", 4)
    monkeypatch.setattr(work, "_METERS_PER_SHEET", 2)
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    for number in range(1, 6):
        rows = plant.register(start, end, step=number)
        del rows[start + number * QUARTER]
        plant.put(f"M{number}", rows)
    read, asked = plant.store.rows, []
    monkeypatch.setattr(
        plant.store, "rows", lambda *about: asked.append((about[1], len(about[3]))) or read(*about)
    )
    plant.settle()
    day = date(2026, 6, 1)
    assert {number: days(plant, f"M{number}")[day][0] for number in range(1, 6)} == {
        number: 96 * number for number in range(1, 6)
    }
    lacking = [(f"M{number}", start + number * QUARTER) for number in range(1, 6)]
    assert [(row[0], row[2]) for row in verdicts(plant, "missing")] == lacking
    of_the_day = [meters for begin, meters in asked if begin == start - 3 * QUARTER // 2]
    assert of_the_day == [4, 1]  # though estimates were made and laid over


def test_late_readings_change_the_days_they_belong_to(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    rows = plant.register(start, end)
    late = {time: rows.pop(time) for time in list(rows)[40:43]}
    plant.put("M1", rows)
    plant.settle()
    day = date(2026, 6, 1)
    assert days(plant)[day] == (2400, 96, 4, 48)  # four intervals rest on three estimates
    assert scores(plant)[day] == (98, 96, 93, 3)
    assert [row.method for row in estimates(plant)] == ["linear"] * 3
    assert verdicts(plant, "missing") == [("M1", "", min(late), max(late), 3)]
    plant.put("M1", late)
    plant.settle()
    assert days(plant)[day] == (2400, 96, 0, 48)
    assert scores(plant)[day] == (100, 96, 96, 0)
    assert estimates(plant) == []
    assert verdicts(plant, "missing") == []


def test_what_estimates_rest_on_is_read_while_others_may_write(plant, monkeypatch):
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"))
    known = [time for time in rows if not start + 3600 < time < start + 20_000]

    def read(*asked: Any) -> Any:
        for found in far(*asked):
            with writing(plant.engine):  # waits ten seconds and fails where somebody writes
                yield found

    monkeypatch.setattr(work, "far", read)
    plant.put("M1", {time: rows[time] for time in known})
    plant.settle()
    assert [row.value for row in estimates(plant)] == [
        value for time, value in rows.items() if time not in known
    ]


def test_an_edit_that_came_while_estimates_were_worked_out_stays(plant, monkeypatch):
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"))
    gap = [time for time in rows if start + 3600 < time < start + 20_000]
    at, register = gap[3], Curve("M1", "1.0.99.1.0.255", "1.0.1.8.0.255")

    def edit() -> None:
        moment = datetime.fromtimestamp(at, UTC)
        made = Edit(register, moment, rows[gap[2]], 0, 30, "read by hand", str(plant.now))
        with writing(plant.engine) as session:
            substitutes.edited(session, made, "ben", plant.now)

    def edited_meanwhile(*asked: Any) -> Any:
        for found in far(*asked):
            edit()
            yield found

    monkeypatch.setattr(work, "far", edited_meanwhile)
    plant.put("M1", {time: rows[time] for time in rows if time not in gap})
    plant.settle()
    held = {int(row.captured_at.timestamp()): row for row in estimates(plant)}
    assert len(held) == len(estimates(plant)) == len(gap)
    assert (held[at].method, held[at].value, held[at].made_by) == ("edit", rows[gap[2]], "ben")

    with writing(plant.engine) as session:
        (row,) = (each for each in substitutes.current(session, ["M1"], register.profile, at, at))
        row.withdrawn_at, row.withdrawn_by = plant.now, "ann"
        outdated = row.id
    of_before = substitutes.Renewal(register, plant.ENERGY.unit, [], [held[at]])
    with writing(plant.engine) as session:
        assert substitutes.renew_estimates(session, of_before, plant.now) == set()
    with reading(plant.engine) as session:
        assert session.get_one(Substitute, outdated).withdrawn_by == "ann"


def test_a_meter_that_is_silent_is_sought_far_away_only_when_it_answers_again(plant, monkeypatch):
    start, silent = plant.at("2026-06-01"), plant.at("2026-06-01T10:00")
    rows, sought = plant.register(start, plant.at("2026-06-01T15:00")), []

    def counted(*asked: Any) -> Any:
        sought.extend(curve.meter for curve in asked[2] if asked[3].start == start)
        return far(*asked)

    monkeypatch.setattr(work, "far", counted)
    plant.now = datetime.fromtimestamp(plant.at("2026-06-01T14:00"), UTC)
    plant.put("M1", {time: rows[time] for time in rows if time <= silent})
    plant.settle()
    assert scores(plant)[date(2026, 6, 1)][1:] == (55, 40, 0)
    assert estimates(plant) == []
    assert sought == []
    plant.now = datetime.fromtimestamp(plant.at("2026-06-01T15:15"), UTC)
    plant.put("M1", {time: rows[time] for time in rows if time >= plant.at("2026-06-01T13:00")})
    plant.settle()
    assert [row.value for row in estimates(plant)] == [
        rows[time] for time in rows if silent < time < plant.at("2026-06-01T13:00")
    ]
    assert set(sought) == {"M1"}


def test_a_gap_over_several_days_takes_its_shape_from_the_weeks_before(plant):
    start, end = plant.at("2026-05-01"), plant.at("2026-06-12")
    values, rows = 0, {}
    for time in range(start, end + 1, QUARTER):
        values += 100 if (time - start) % 86_400 >= 43_200 else 10  # afternoons take more
        rows[time] = values
    first, last = plant.at("2026-06-08T06:00"), plant.at("2026-06-10T18:00")
    plant.put("M1", {time: value for time, value in rows.items() if not first < time < last})
    plant.settle()
    filled = estimates(plant)
    assert {row.method for row in filled} == {"reference day"}
    assert [row.value for row in filled] == [
        rows[int(row.captured_at.timestamp())] for row in filled
    ]
    whole = 48 * 100 + 48 * 10
    assert [days(plant)[date(2026, 6, day)][0] for day in (8, 9, 10)] == [whole] * 3
    assert scores(plant)[date(2026, 6, 9)] == (50, 96, 0, 96)


def test_late_data_in_the_middle_renews_the_estimates_of_the_days_around_it(plant):
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-08"))
    middle = plant.at("2026-06-04T12:00")
    gap = {t: v for t, v in rows.items() if plant.at("2026-06-02") < t < plant.at("2026-06-07")}
    plant.put("M1", {time: value for time, value in rows.items() if time not in gap})
    plant.settle()
    before = {row.captured_at: row.value for row in estimates(plant)}
    plant.put("M1", {middle: gap[middle] - 3000})  # less was used at first than it had seemed
    plant.settle()
    after = {row.captured_at: row.value for row in estimates(plant)}
    assert len(after) == len(before) - 1
    assert days(plant)[date(2026, 6, 2)][0] < days(plant)[date(2026, 6, 5)][0]
    total = sum(days(plant)[date(2026, 6, day)][0] for day in range(1, 8))
    assert total == rows[plant.at("2026-06-08")] - rows[plant.at("2026-06-01")]
    with reading(plant.engine) as session:
        kept = session.scalars(select(Substitute).where(Substitute.withdrawn_at.isnot(None))).all()
    assert len(kept) > len(before) // 2  # what held before is kept as a version


@pytest.mark.parametrize("off_s", [5, -5])
def test_estimates_of_a_meter_off_the_grid_count(plant, off_s):
    plant.add_meter("M1")
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-04"))
    first, last = plant.at("2026-06-01T20:00"), plant.at("2026-06-02T04:00")  # over midnight
    plant.put("M1", {at + off_s: rows[at] for at in rows if not first < at < last})
    plant.settle()
    assert [days(plant)[date(2026, 6, day)][0] for day in (1, 2, 3)] == [2400] * 3
    assert scores(plant)[date(2026, 6, 2)] == (92, 96, 81, 15)


def test_an_edit_counts_only_where_no_other_reading_is_nearer(plant):
    plant.add_meter("M1")
    start = plant.at("2026-06-01")
    rows, second = plant.register(start, plant.at("2026-06-02")), start + 8 * QUARTER + 300
    plant.put("M1", rows | {second: 10_205})
    curve = Curve("M1", "1.0.99.1.0.255", "1.0.1.8.0.255")
    edit = Edit(curve, datetime.fromtimestamp(second, UTC), 11_000, 0, 30, "display was read", "k1")
    with writing(plant.engine) as session:
        substitutes.edited(session, edit, "ben", plant.now)
    plant.settle()
    assert scores(plant)[date(2026, 6, 1)] == (100, 96, 96, 0)
    assert days(plant)[date(2026, 6, 1)][0] == 2400


def test_raw_values_are_never_touched(plant):
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-02"))
    rows.pop(plant.at("2026-06-01T10:00"))
    plant.put("M1", rows)
    raw = list(plant.store.export(0, 2**33))
    plant.settle()
    assert list(plant.store.export(0, 2**33)) == raw


def test_today_is_judged_up_to_what_is_due(plant):
    plant.now = datetime(2026, 6, 1, 10, 7, tzinfo=UTC)
    start = plant.at("2026-06-01")
    plant.put("M1", plant.register(start, plant.at("2026-06-01T12:00")))
    plant.settle()
    assert scores(plant)[date(2026, 6, 1)][:3] == (100, 47, 47)  # until 11:45, one period ago
    assert date(2026, 6, 2) not in scores(plant)


def test_measured_values_have_mean_and_verdicts(plant):
    start = plant.at("2026-06-01")
    volts = {start + QUARTER * place: 2300 + place % 7 for place in range(97)}
    volts[start + QUARTER * 50] = 1900
    plant.put("M1", volts, plant.VOLTAGE)
    plant.settle()
    total = sum(value for time, value in volts.items() if time > start)
    assert days(plant, name="1.0.32.7.0.255")[date(2026, 6, 1)] == (total, 96, 0, 48)
    sag = start + QUARTER * 50
    assert verdicts(plant, "voltage") == [("M1", "1.0.32.7.0.255", sag, sag, 1)]


def test_a_rollover_is_counted_across_the_end_of_the_register(plant):
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"), first=99_000)
    plant.put("M1", {time: value % 100_000 for time, value in rows.items()})
    plant.settle()
    assert days(plant)[date(2026, 6, 1)] == (2400, 96, 0, 48)
    assert len(verdicts(plant, "rollover")) == 1
    assert verdicts(plant, "reverse") == []


def test_net_energy_may_be_less_than_nothing(plant):
    net = Quantity("1.0.16.8.0.255", 0, 30)
    start, noon = plant.at("2026-06-01"), plant.at("2026-06-01T12:00")
    night = plant.register(start, noon, first=900)
    sunny = plant.register(noon, plant.at("2026-06-02"), step=-45, first=max(night.values()))
    plant.put("M1", night | sunny, net)
    plant.settle()
    found = days(plant, name=net.logical_name)[date(2026, 6, 1)]
    assert found == (48 * 25 - 48 * 45, 96, 0, 48)
    assert verdicts(plant, "reverse") == verdicts(plant, "rollover") == []


@pytest.mark.parametrize("name", ["1.0.1.8.0.255", "1.0.16.8.0.255"])
@pytest.mark.parametrize("wrong", [0, 9_000_000])
@pytest.mark.parametrize("captures", [1, 3])
def test_a_register_that_was_read_wrong_has_used_nothing(plant, name, wrong, captures):
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"), first=5_000_000)
    rows |= {start + QUARTER * (40 + place): wrong for place in range(captures)}
    plant.put("M1", rows, Quantity(name, 0, 30))
    plant.settle()
    assert days(plant, name=name)[date(2026, 6, 1)][:2] == (25 * (96 - captures - 1), 96 - 2)
    query = "SELECT demand_15 FROM days WHERE logical_name = $name"
    assert plant.book.rows(query, name=name) == [(100,)]


def test_a_load_beyond_the_threshold_counts_where_the_register_only_rises(plant):
    """It is in doubt, and is energy all the same: the threshold may be another meter's."""
    start = plant.at("2026-06-01")
    plant.put("M1", plant.register(start, plant.at("2026-06-02"), step=30_000))
    plant.settle()
    assert days(plant)[date(2026, 6, 1)][:2] == (96 * 30_000, 96)
    assert [row[4] for row in verdicts(plant, "range")] == [96]


def test_a_gap_over_which_no_load_can_have_made_the_register_rise_is_left(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    rows = plant.register(start, end)
    lacking = list(rows)[40:43]
    leap = 100_000  # W may run for four quarters of an hour
    after = {time: value + leap for time, value in rows.items() if time > lacking[-1]}
    plant.put("M1", {time: value for time, value in rows.items() if time < lacking[0]} | after)
    plant.settle()
    assert estimates(plant) == []
    assert days(plant)[date(2026, 6, 1)][:2] == (2300, 92)
    ends = min(after)
    assert verdicts(plant, "range") == [("M1", "1.0.1.8.0.255", ends, ends, 1)]


def test_a_reading_that_is_doubted_is_no_reference(plant):
    week = 7 * 86_400
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    before = plant.register(start - week, end - week)
    glitch = start - week + 40 * QUARTER
    plant.put("M1", {at: value for at, value in before.items() if at != glitch})
    plant.put("M1", {glitch: 1}, quality=int(Quality.OUT_OF_ORDER))
    rows = plant.register(start, end, first=max(before.values()))
    lacking = range(start + 38 * QUARTER, start + 50 * QUARTER, QUARTER)
    plant.put("M1", {at: value for at, value in rows.items() if at not in lacking})
    plant.settle()
    found = {int(row.captured_at.timestamp()): row.value for row in estimates(plant)}
    assert [found[at] for at in lacking] == [rows[at] for at in lacking]


@pytest.mark.parametrize(("shown", "failed"), [(2, []), (3, []), (4, [96])])
def test_a_register_of_full_kilowatt_hours_may_be_off_by_one(plant, shown, failed):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    intervals = dict.fromkeys(range(start, end + 1, QUARTER), 25)  # 2 400 Wh in all
    registers = dict.fromkeys(intervals, 7) | {end: 7 + shown}
    curves = {
        Quantity("1.0.1.29.0.255", 0, 30): intervals,
        Quantity("1.0.1.8.0.255", 3, 30): registers,
    }
    plant.put_all("M1", curves)
    plant.settle()
    assert [row[4] for row in verdicts(plant, "sum")] == failed


def test_an_exchanged_meter_is_no_rollover(plant):
    """A register that ends at 950 000 Wh and begins anew at 0 has not passed its last digit."""
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"), first=950_000)
    exchanged = start + QUARTER * 50
    plant.put("M1", {at: v if at < exchanged else v - 951_250 for at, v in rows.items()})
    plant.settle()
    assert days(plant)[date(2026, 6, 1)][:2] == (2400 - 25, 95)
    assert verdicts(plant, "rollover") == []
    (reverse,) = verdicts(plant, "reverse")
    assert reverse[2] == exchanged


def test_another_value_for_a_reading_that_was_judged_is_found(plant):
    start, noon = plant.at("2026-06-01"), plant.at("2026-06-01T12:00")
    rows = plant.register(start, plant.at("2026-06-02"))
    plant.put("M1", rows)
    plant.settle()
    assert scores(plant)[date(2026, 6, 1)][0] == 100
    plant.put("M1", {noon: rows[noon]})
    assert plant.work.turn() == 0
    plant.put("M1", {noon: rows[noon] + 10})
    plant.settle()
    assert verdicts(plant, "conflicting") == [("M1", "", noon, noon, 1)]
    assert scores(plant)[date(2026, 6, 1)][0] == 99


def test_what_a_neighbour_was_edited_to_changes_no_other_meter(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    rows = plant.register(start, end, first=2**32 - 1_010)
    for meter in ("M0", "M1"):
        plant.put(meter, {at: value % 2**32 for at, value in rows.items()})
    fine = Edit(Curve("M0", "1.0.99.1.0.255", "1.0.1.8.0.255"), datetime.fromtimestamp(start, UTC),
        rows[start] * 100 + 1, -2, 30, "read from the display", "k1")  # fmt: skip
    with writing(plant.engine) as session:
        substitutes.edited(session, fine, "ben", plant.now)
    plant.settle()
    query = "SELECT scaler, list_sum(sums) FROM days WHERE meter = 'M1' AND day = $day"
    assert plant.book.rows(query, day=date(2026, 6, 1)) == [(0, 2400)]


@pytest.mark.parametrize("kind", [(0, 31), (-2, 30), (3, 30)])
@pytest.mark.parametrize("turns", [2, 3])
def test_a_day_without_captures_is_summed_in_what_its_meter_measures(plant, kind, turns):
    """Others that were silent as long measure otherwise, and are worked on together with it."""
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-04"))
    gap = range(plant.at("2026-06-01T20:00"), plant.at("2026-06-03T04:00"))
    kept = {at: value for at, value in rows.items() if at not in gap}
    kinds = {"M1": kind, "M2": (0, 30)}
    noon = plant.at("2026-06-02T12:00") // 86_400
    query = "SELECT meter, scaler, unit, list_sum(sums) FROM days WHERE day = $day ORDER BY meter"
    for meters in [["M2"], ["M1"], []][:turns]:  # one after the other, and both anew
        for meter in meters:
            quantity = plant.ENERGY._replace(scaler=kinds[meter][0], unit=kinds[meter][1])
            plant.put(meter, kept, quantity)
        with writing(plant.engine) as session:
            dirty.mark(session, [(meter, noon) for meter in kinds], plant.now)
        plant.settle()
    found = plant.book.rows(query, day=date(2026, 6, 2))
    assert found == [(meter, *each, 2400) for meter, each in kinds.items()]


def test_a_meter_is_summed_as_it_is_whatever_its_neighbours_measure_in(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    rows, gap = plant.register(start, end), start + 40 * QUARTER
    kinds = {"M0": (0, 255), "M1": (0, 30), "M2": (-6, 30), "M3": (2, 30), "M4": (-2, 31)}
    for meter, kind in kinds.items():
        kept = {at: value + at // QUARTER % 7 for at, value in rows.items() if at != gap}
        plant.put(meter, kept, Quantity("1.0.1.8.0.255", *kind))
    plant.settle()
    query = "SELECT meter, scaler, unit, list_sum(counts) FROM days WHERE day = $day ORDER BY meter"
    assert plant.book.rows(query, day=date(2026, 6, 1)) == [
        (meter, *kind, 95 if meter == "M0" else 96) for meter, kind in kinds.items()
    ]
    assert {each.meter: (each.scaler, each.unit) for each in estimates(plant)} == {
        meter: kind for meter, kind in kinds.items() if meter != "M0"
    }


@pytest.mark.parametrize("scalers", [(0, -2), (-2, 0)])
@pytest.mark.parametrize("changed_at", ["2026-06-02T12:00", "2026-06-03", "2026-06-04T12:00"])
def test_a_gap_near_a_change_of_the_scaler_keeps_its_energy(plant, scalers, changed_at):
    """Each day is added up in the scaler of its own readings, which may be the coarser one."""
    gap = range(plant.at("2026-06-01T12:00") + 1, plant.at("2026-06-03T12:00"))
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-06"), first=10_001)
    pieces: dict[int, dict[int, int]] = {scaler: {} for scaler in scalers}
    for at in rows.keys() - set(gap):
        scaler = scalers[at >= plant.at(changed_at)]
        pieces[scaler][at] = rows[at] * 10**-scaler
    for scaler, values in pieces.items():
        plant.put("M1", values, Quantity("1.0.1.8.0.255", scaler, 30))
    plant.settle()
    query = "SELECT list_sum(sums) * 10.0 ** scaler, list_sum(counts) FROM days ORDER BY day"
    assert plant.book.rows(query) == [(2400, 96)] * 5


def test_a_day_without_captures_is_summed_whatever_other_meters_of_its_sheet_measure_in(plant):
    gap = range(plant.at("2026-06-01T12:00") + 1, plant.at("2026-06-03T12:00"))
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-04"))
    for scaler in (1, 0, -3, -1):
        values = {at: value * 10 ** (1 - scaler) for at, value in rows.items() if at not in gap}
        plant.put(f"M{scaler}", values, Quantity("1.0.1.8.0.255", scaler, 30))
    late = plant.at("2026-06-02T12:00")
    coarse = Quantity("1.0.1.8.0.255", 2, 30)
    plant.put("M5", {at: value for at, value in rows.items() if at != late}, coarse)
    plant.settle()
    assert {each.scaler for each in estimates(plant) if each.meter == "M5"} == {2}
    query = "SELECT meter, list_sum(sums) * 10.0 ** scaler FROM days ORDER BY meter, day"
    assert plant.book.rows(query) == [
        *((f"M{scaler}", 24_000) for scaler in ("-1", "-3", 0, 1) for _ in range(3)),
        *(("M5", 240_000) for _ in range(3)),
    ]


@pytest.mark.parametrize("scaler", [-128, -30, -7, 19, 127])
def test_a_scaler_that_no_register_has_costs_nobody_else_a_day(plant, scaler):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    odd = Quantity("1.0.1.8.0.255", scaler, 30)
    for meter, quantity in (("M0", odd), ("M1", plant.ENERGY), ("M2", odd)):
        plant.put(meter, plant.register(start, end), quantity)
    plant.settle()
    assert days(plant)[date(2026, 6, 1)] == (2400, 96, 0, 48)
    assert days(plant, "M0") == days(plant, "M2") == {}


def test_values_at_the_end_of_64_bits_are_summed_by_nobody_and_stop_nobody(plant):
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    largest = {start: 2**62, end: 2**63 - 1}
    plant.put("M0", largest, Quantity("1.0.1.8.0.255", 9, 30))
    plant.put("M0", {start + QUARTER: 2**63 - 1}, Quantity("1.0.1.8.0.255", -6, 30))
    plant.put("M1", plant.register(start, end))
    with writing(plant.engine) as session:
        edit = Edit(
            Curve("M1", "1.0.99.1.0.255", "1.0.1.8.0.255"),
            datetime.fromtimestamp(start + QUARTER, UTC), 2**62, 9, 30, "typed", "k",
        )  # fmt: skip
        substitutes.edited(session, edit, "ada", plant.now)
    plant.settle()
    assert days(plant)[date(2026, 6, 1)] == (2400, 96, 0, 48)


@pytest.mark.parametrize(("period_s", "lost"), [(900, 0), (900, 20), (86_400, 0)])
@pytest.mark.parametrize("shown", [6_000_000_000, 5])
def test_a_register_that_was_read_wrong_at_midnight_counts_for_neither_day(
    plant, period_s, shown, lost
):
    plant.add_meter("M1")
    plant.set_period("M1", period_s)
    midnight, late = plant.at("2026-06-02"), plant.at("2026-06-02") + lost * period_s
    rows = plant.register(plant.at("2026-05-31"), plant.at("2026-06-04"), first=900_000_000)
    rows = {at: value for at, value in rows.items() if not (at - midnight) % period_s}
    rows = {at: value for at, value in rows.items() if not midnight < at <= late}
    rows[midnight] = shown
    plant.put("M1", {at: value for at, value in rows.items() if at <= midnight})
    plant.settle()
    plant.put("M1", {at: value for at, value in rows.items() if at > midnight})
    plant.settle()
    found = days(plant)
    each = 25 * period_s // QUARTER
    counted = [found.get(date(2026, *day), (0, 0))[:2] for day in [(5, 31), (6, 1), (6, 2), (6, 3)]]
    intervals = 86_400 // period_s
    counts = intervals, intervals - 1, intervals - 1, intervals  # what is lost is estimated
    assert [energy for energy, _ in counted] == [each * count for count in counts]
    assert plant.work.turn() == 0


@pytest.mark.parametrize("off_by", [400, -400, 5000, -5000])
@pytest.mark.parametrize("at", ["2026-06-02", "2026-06-02T12:00"])
def test_a_register_that_goes_back_was_read_wrong_however_little(plant, at, off_by):
    """A load may have made the step, but no register is back between its neighbours after one."""
    plant.add_meter("M1")
    rows = plant.register(plant.at("2026-05-31"), plant.at("2026-06-04"), first=900_000)
    rows[plant.at(at)] += off_by
    for part in (lambda time: time <= plant.at(at), lambda time: time > plant.at(at)):
        plant.put("M1", {time: value for time, value in rows.items() if part(time)})
        plant.settle()
    found = days(plant)
    each = [found[date(2026, *day)][:2] for day in [(5, 31), (6, 1), (6, 2), (6, 3)]]
    lost = (0, 1, 1, 0) if at == "2026-06-02" else (0, 0, 2, 0)
    assert each == [(2400 - 25 * count, 96 - count) for count in lost]
    assert plant.book.rows("SELECT max(demand_15) FROM days") == [(100,)]
    ends = plant.at(at)
    query = "SELECT from_at, to_at FROM verdicts WHERE check_name = 'range'"
    assert plant.book.rows(query) == [(ends, ends)]
    assert plant.work.turn() == 0


@pytest.mark.parametrize("wrong", [5, 990_000, 9_000_000_000])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_register_that_was_read_wrong_beside_days_without_captures(plant, place, wrong):
    plant.add_meter("M1")
    start, end = plant.at("2026-06-02T12:00"), plant.at("2026-06-05T12:00")
    rows = plant.register(plant.at("2026-06-01"), plant.at("2026-06-07"), first=900_000)
    rows = {time: value for time, value in rows.items() if not start < time < end}
    rows[start if place == "before" else end] = wrong
    for part in (lambda time: time <= start, lambda time: time > start):
        plant.put("M1", {time: value for time, value in rows.items() if part(time)})
        plant.settle()
    found = days(plant)
    each = [found[date(2026, 6, day)][:2] for day in range(1, 7)]
    lost = [0, 2, 0, 0, 0, 0] if place == "before" else [0, 0, 0, 0, 2, 0]
    assert each == [(2400 - 25 * count, 96 - count) for count in lost]
    assert plant.work.turn() == 0


def test_demand_is_the_highest_quarter_and_half_hour(plant):
    start = plant.at("2026-06-01")
    rows = plant.register(start, plant.at("2026-06-02"))
    peak = start + QUARTER * 30
    plant.put("M1", {time: value + (500 if time >= peak else 0) for time, value in rows.items()})
    plant.settle()
    found = plant.book.rows("SELECT demand_15, demand_15_at, demand_30, demand_30_at FROM days")
    assert found == [(525 * 4, peak, 550 * 2, peak)]


def test_a_mark_that_is_set_while_its_day_is_worked_on_stays(plant):
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-02")))
    replace = plant.book.replace

    def replace_then_mark(*written: Any) -> None:
        replace(*written)
        plant.put("M1", {plant.at("2026-06-01T12:07"): 1})
        plant.book.replace = replace

    plant.book.replace = replace_then_mark
    plant.work.turn()
    with reading(plant.engine) as session:
        assert len(session.scalars(select(DirtyDay)).all()) == 1
