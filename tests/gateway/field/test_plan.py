"""When what of a meter is due."""

from hesper_gateway.config import ScheduleConfig
from hesper_gateway.schedule import Plan, offset_s
from hesper_gateway.visit import Work

NOON = 1_790_000_100.0


def test_everything_is_due_at_the_start_and_then_at_its_ticks():
    plan = Plan(ScheduleConfig(snapshot_s=60, events_s=300), offset_s=2.0, period_s=900)
    assert plan.due(NOON) == set(Work)
    for work in Work:
        plan.done(work, NOON)
    assert plan.due(NOON + 1) == set()
    assert plan.next_at(NOON) == NOON + 2
    for work in Work:
        plan.done(work, NOON + 2)
    assert plan.due(NOON + 61) == set()
    assert plan.due(NOON + 62) == {Work.SNAPSHOT}
    assert plan.due(NOON + 302) == {Work.SNAPSHOT, Work.EVENTS}
    assert plan.due(NOON + 902) == set(Work)


def test_a_missed_tick_stays_due_until_it_is_done():
    plan = Plan(ScheduleConfig(snapshot_s=60), offset_s=0)
    plan.done(Work.SNAPSHOT, NOON)
    for later_s in (60, 600, 86400):
        assert Work.SNAPSHOT in plan.due(NOON + later_s)
    plan.done(Work.SNAPSHOT, NOON + 86400)
    assert Work.SNAPSHOT not in plan.due(NOON + 86401)


def test_a_capture_during_a_visit_is_due_at_once_after_it():
    plan = Plan(ScheduleConfig(profile_s=5), offset_s=0)
    plan.done(Work.PROFILE, 1000.0)
    assert Work.PROFILE in plan.due(1005.5)


def test_the_profile_follows_the_period_that_the_meter_states():
    plan = Plan(ScheduleConfig(), offset_s=0)
    plan.period_s = 1800
    assert plan.interval_s(Work.PROFILE) == 1800
    assert Plan(ScheduleConfig(profile_s=60), 0, 1800).interval_s(Work.PROFILE) == 60


def test_captures_are_fetched_by_the_clock_that_made_them():
    plan = Plan(ScheduleConfig(), offset_s=2.0, period_s=900, drift_s=-40.0)
    plan.done(Work.PROFILE, NOON + 2)  # the meter's clock still says 38 s before noon
    assert plan._due_at[Work.PROFILE] == NOON + 42
    plan.done(Work.PROFILE, NOON + 42)
    assert plan._due_at[Work.PROFILE] == NOON + 942
    assert Work.PROFILE not in plan.due(NOON + 941)


def test_a_capture_that_was_not_filed_yet_is_looked_for_once_more_soon():
    plan = Plan(ScheduleConfig(), offset_s=0, period_s=900)
    for _ in range(2):
        plan.done(Work.PROFILE, NOON)
        plan.captured(newest=int(NOON) - 900, present=int(NOON), begun_at=NOON)
        assert plan._due_at[Work.PROFILE] == NOON + 10
        plan.done(Work.PROFILE, NOON + 10)
        plan.captured(newest=int(NOON) - 900, present=int(NOON) + 10, begun_at=NOON + 10)
        assert plan._due_at[Work.PROFILE] == NOON + 900
    plan.captured(newest=int(NOON), present=int(NOON) + 11, begun_at=NOON + 11)
    assert plan._due_at[Work.PROFILE] == NOON + 900


def test_a_gateway_clock_that_was_set_back_does_not_stop_the_reading():
    plan = Plan(ScheduleConfig(), offset_s=0)
    for work in Work:
        plan.done(work, NOON)
    assert plan.due(NOON - 10 * 86400) == set(Work)


def test_meters_are_spread_over_the_jitter_the_same_way_every_time():
    offsets = [offset_s(f"HES{n}", 5) for n in range(200)]
    assert offsets == [offset_s(f"HES{n}", 5) for n in range(200)]
    assert min(offsets) < 1 < 4 < max(offsets) <= 5
