"""How batches leave: rate, budgets, quarantine, pace of areas, kill switch, hours."""

from datetime import timedelta

from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from sqlalchemy import update

NO_CANARY = {"canary": 0, "stop_percent": 100}


def left(town) -> int:
    return len({one.id for one in town.head_end.published()})


def test_the_rate_lets_them_go_at_random_distances(town):
    batch = town.approved(**NO_CANARY, per_hour=3_600)
    assert left(town) == 1
    distances = set()
    for _ in range(24):
        distances.add(town.batch(batch).next_release_at - town.clock.now)
        town.turn(0.25)
    assert 4 <= left(town) <= 10
    assert len(distances) > 6


def test_a_clock_that_was_set_back_holds_up_no_batch(town):
    town.clock.advance(86_400)
    batch = town.approved(**NO_CANARY, per_hour=3_600)
    town.turn(0.1)
    town.clock.advance(-86_400)
    assert left(town) == 1
    town.turn(0.01)
    assert left(town) == 2
    assert town.batch(batch).next_release_at < town.clock.now + timedelta(seconds=2)
    town.turn(0.01)
    assert left(town) == 2


def test_disconnects_wait_for_their_budgets_and_beyond_one_decision_for_another(town, refused):
    limits = {"per_hour": 50, "gateway_per_hour": 3, "seconds_between": 10}
    town.policy(disconnects=limits, batches={"disconnects": 5}, relay_state_max_age_s=10**6)
    batch = town.approved(kind="relay.disconnect", **NO_CANARY)
    town.turn(5)
    assert left(town) == 1
    for _ in range(8):
        town.answer_all(output=False)
        town.turn(10)
    assert town.states(batch) == {"confirmed": 3, "waiting": 9}
    for _ in range(8):
        town.turn(900)
        town.answer_all(output=False)
    assert town.states(batch) == {"confirmed": 5, "waiting": 7}
    assert town.batch(batch).state == "quarantined"
    assert "may not approve" in refused(town.decide(batch, "release", "ann"))
    shown = town.batch(batch).updated_at.isoformat()
    assert town.decide(batch, "release", stood_at=shown).state == "done"
    for _ in range(12):
        town.turn(900)
        town.answer_all(output=False)
    assert town.states(batch) == {"confirmed": 10, "waiting": 2}
    assert town.batch(batch).state == "quarantined"
    late = town.decide(batch, "release", "cleo", stood_at=shown)
    assert "has moved since it was shown" in refused(late), "it was for the five before"


def test_disconnects_of_a_batch_keep_the_same_drawn_delay(town):
    limits = {"per_hour": 50, "gateway_per_hour": 9, "seconds_between": 10}
    town.policy(disconnects=limits, relay_state_max_age_s=10**6)
    town.head_end.authority.spacing.chance = lambda: 0.8
    town.approved(kind="relay.disconnect", **NO_CANARY)
    town.turn(13)
    assert left(town) == 1
    town.turn(2)
    assert left(town) == 2


def test_rows_wait_for_the_hours_in_which_supplies_are_cut(town):
    begun = town.clock.now
    town.policy(hours={"zone": "UTC"}, relay_state_max_age_s=10**6)
    town.clock.now = begun.replace(hour=23)
    batch = town.approved(kind="relay.disconnect", **NO_CANARY)
    town.turn(600, times=3)
    assert (left(town), town.states(batch)) == (0, {"waiting": 12})
    town.clock.now = begun.replace(hour=12) + timedelta(days=1)
    town.turn()
    assert left(town) == 1


def test_reconnects_are_staggered_within_an_area(town):
    town.policy(batches={"area_reconnects_per_minute": 2})
    with writing(town.head_end.databases.registry) as session:
        for names, area in ((town.meters[:8], "mill lane"), (town.meters[8:], "harbour")):
            where = update(Meter).where(Meter.id.in_(names))
            session.execute(where.values(area=area, relay_output=False))
    batch = town.approved(kind="relay.reconnect", **NO_CANARY)
    town.turn()
    town.turn()
    gone = [row.area for row in town.rows(batch) if row.state == "released"]
    assert sorted(gone) == ["harbour"] * 2 + ["mill lane"] * 2
    town.answer_all()
    town.turn(30)
    assert left(town) == 4
    town.turn(31)
    town.turn()
    assert left(town) == 8


def test_a_batch_goes_on_when_the_kill_switch_is_lifted(town):
    batch = town.approved(kind="clock.sync", canary=0, wave_size=3, stop_percent=0)
    assert left(town) == 3
    town.head_end.ask("ann", "kill_switch.engage", reason="an insider")
    town.turn(10, times=3)
    town.answer_all("failed", None)
    assert left(town) == 3
    assert town.batch(batch).state == "running"
    assert town.states(batch)["waiting"] == 9


def test_a_row_whose_relay_was_read_too_long_ago_is_not_cut(town):
    batch = town.approved(kind="relay.disconnect", meters=town.meters[:3], canary=0)
    with writing(town.head_end.databases.registry) as session:
        aged = town.clock.now - timedelta(hours=24)
        stale = update(Meter).where(Meter.id == town.meters[1])
        session.execute(stale.values(relay_confirmed_at=aged))
    for _ in range(6):
        town.turn(60)
        town.answer_all(output=False)
    rows = {row.meter: (row.state, row.detail) for row in town.rows(batch)}
    assert rows[town.meters[0]][0] == rows[town.meters[2]][0] == "confirmed"
    assert rows[town.meters[1]][0] == "rejected"
    assert "was not read in the last 24 h" in rows[town.meters[1]][1]


def test_a_row_does_not_leave_while_another_command_for_its_meter_is_under_way(town):
    first, second = town.meters[:2]
    batch = town.propose(kind="relay.disconnect", meters=[first, second], **NO_CANARY)
    reconnect = town.head_end.ask_reconnect(meter=first).outcome["command"]
    town.decide(batch)
    town.turn(20, times=2)
    rejected, released = town.rows(batch)
    assert (rejected.state, released.state) == ("rejected", "released")
    assert "another command for this meter is sent" in rejected.detail
    assert town.head_end.command(reconnect).state == "sent"


def test_rows_of_two_batches_for_one_meter_do_not_leave_at_once(town):
    named = {"meters": town.meters[:1], **NO_CANARY}
    batches = [town.propose(kind=kind, **named) for kind in ("relay.disconnect", "relay.arm")]
    for batch in batches:
        town.decide(batch)
    town.turn(1, times=3)
    assert left(town) == 1
    assert sorted(row.state for batch in batches for row in town.rows(batch)) == [
        "rejected",
        "released",
    ]
