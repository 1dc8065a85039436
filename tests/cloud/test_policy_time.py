"""When a supply may be cut: hours, days off, weather; the pace of switching on; maintenance."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from hesper_cloud import provision
from hesper_cloud.authority import timing
from hesper_cloud.authority.hours import EVER, Hours, Maintenance, Weather
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.rules import Denied
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.energy import OutsidePoint, OutsideSeries
from hesper_cloud.db.engines import writing
from pydantic import ValidationError

METER, OTHER, GATEWAY = "HES12642984", "HES12642985", "gw-1"
BERLIN = Hours(zone="Europe/Berlin", holidays={"2026-06-04"})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def use(head_end, **changes) -> None:
    document = Policy(**changes).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "test", document)


def refusal(row) -> str:
    assert row.state == "refused", row.outcome
    return row.outcome["reason"]


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-06-01T05:59:59", "2026-06-01T06:00:00"),  # Monday, 08:00 in Berlin
        ("2026-06-01T06:00:00", "2026-06-01T06:00:00"),
        ("2026-06-01T13:59:59", "2026-06-01T13:59:59"),
        ("2026-06-01T14:00:00", "2026-06-02T06:00:00"),
        ("2026-06-03T14:00:00", "2026-06-05T06:00:00"),  # Corpus Christi lies between
        ("2026-06-05T14:00:00", "2026-06-08T06:00:00"),  # the weekend
        ("2026-12-23T15:00:00", "2026-12-28T07:00:00"),  # Christmas, and winter time
        ("2026-10-23T14:00:00", "2026-10-26T07:00:00"),  # the clocks go back on Sunday
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(now, opens):
    assert BERLIN.opens_at(GATEWAY, at(now)) == at(opens)


def test_a_gateway_has_the_hours_of_its_own_zone():
    hours = Hours(gateway_zones={"gw-far": "Asia/Kolkata"})
    now = at("2026-06-01T03:00:00")
    assert hours.opens_at("gw-far", now) == now
    assert hours.opens_at(GATEWAY, now) == at("2026-06-01T08:00:00")


@pytest.mark.parametrize(
    ("now", "changes", "may"),
    [
        ("2026-06-01T07:43:59", {}, False),  # approved after 15 min, sent within one
        ("2026-06-01T07:44:00", {}, True),
        ("2026-06-01T12:00:00", {}, True),
        ("2026-06-01T16:00:00", {}, False),
        ("2026-06-01T16:00:00", {"hours": Hours(wait_s=16 * 3600)}, True),
        ("2026-06-01T12:00:00", {"hours": Hours(weekdays=set())}, False),
    ],
)
def test_a_cut_whose_hours_do_not_come_is_not_even_asked_for(now, changes, may):
    policy = Policy(**changes)
    timing.check_hours(policy, "relay.reconnect", GATEWAY, at(now))
    with nullcontext() if may else pytest.raises(Denied, match="no supply is cut"):
        timing.check_hours(policy, "relay.disconnect", GATEWAY, at(now))


def test_the_whole_day_and_never():
    now = at("2026-12-25T23:59:59")
    assert EVER.opens_at(GATEWAY, now) == now
    assert Hours(weekdays=set()).opens_at(GATEWAY, now) is None
    evening = Hours(begin="20:00", end="00:00")
    assert evening.opens_at(GATEWAY, at("2026-06-01T23:59:00")) == at("2026-06-01T23:59:00")


@pytest.mark.parametrize(
    "wrong",
    [
        {"zone": "Mars/Olympus"},
        {"weekdays": [0]},
        {"begin": "16:00", "end": "08:00"},
        {"yearly_holidays": ["02-30"]},
        {"yearly_holidays": ["May 1"]},
        {"nights": True},
    ],
)
def test_hours_that_mean_nothing_are_refused(wrong):
    with pytest.raises((ValidationError, ValueError)):
        Hours(**wrong)


def test_nobody_is_cut_at_night(head_end, clock):
    clock.now = at("2026-06-01T20:00:00")
    head_end.relay_read(output=True)
    command = head_end.ask_disconnect().outcome["command"]
    text = refusal(head_end.approve(command))
    assert "no supply is cut at this hour; the next time is 2026-06-02 08:00 (UTC)" in text
    assert head_end.command(command).state == "awaiting_approval"
    assert head_end.ask_reconnect().state == "refused"  # the waiting cut stands in its way
    assert head_end.published() == []


def test_what_may_wait_leaves_in_the_morning(head_end, clock):
    use(head_end, hours=Hours(wait_s=13 * 3600))
    clock.now = at("2026-06-01T20:00:00")
    head_end.relay_read(output=True)
    command = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(command).state == "done"
    assert head_end.command(command).state == "queued"
    assert "for its hours, 2026-06-02 08:00 UTC" in head_end.command(command).detail
    clock.now = at("2026-06-02T07:59:59")
    head_end.authority.turn()
    assert head_end.published() == []
    clock.now = at("2026-06-02T08:00:00")
    head_end.authority.turn()
    assert [each.kind for each in head_end.published()] == ["relay.disconnect"]


def test_what_waits_too_long_expires_and_says_why(head_end, clock):
    use(head_end, hours=Hours(begin="12:01"), expiry_s=90)
    command = head_end.ask_disconnect().outcome["command"]
    head_end.approve(command)
    assert head_end.command(command).state == "queued"
    use(head_end, hours=Hours(begin="12:03"), expiry_s=90)
    clock.advance(30)
    head_end.authority.turn()
    record = head_end.command(command)
    assert (record.state, head_end.published()) == ("rejected", [])
    assert "no supply is cut at this hour" in record.detail


def temperatures(head_end, *values: tuple[str, int], unit: int = 9) -> None:
    with writing(head_end.databases.registry) as session:
        now = head_end.clock.now
        session.merge(
            OutsideSeries(name="temperature", scaler=-1, unit=unit, source="met", updated_at=now)
        )
        for when, value in values:
            session.merge(OutsidePoint(series="temperature", at=at(when), value=value))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "no temperature is known"),
        ([("2026-06-01T08:59:59", 200)], "no temperature is known"),
        ([("2026-06-01T12:00:00", 0)], "too cold: 0.0 °C"),
        ([("2026-06-01T12:00:00", 1)], None),
        ([("2026-06-01T12:00:00", 319)], None),
        ([("2026-06-01T12:00:00", 320)], "too hot: 32.0 °C"),
        ([("2026-06-01T12:00:00", 200), ("2026-06-02T04:00:00", -20)], "too cold: -2.0 °C"),
        ([("2026-06-01T12:00:00", 200), ("2026-06-02T12:00:01", -20)], None),
        ([("2026-06-01T12:00:01", 200)], "no temperature is known"),
    ],
)
def test_nobody_is_cut_in_frost_or_heat(head_end, points, words):
    use(head_end, weather=Weather(series="temperature"))
    temperatures(head_end, *points)
    command = head_end.ask_disconnect().outcome["command"]
    row = head_end.approve(command)
    if words is None:
        assert head_end.command(command).state == "sent"
    else:
        assert words in refusal(row)


def test_what_no_weather_means_is_configured(head_end):
    weather = Weather(series="temperature", without="allow")
    now = head_end.clock.now
    registry = head_end.databases.registry
    assert timing.weather_objection(registry, weather, GATEWAY, now) is None
    hold = Weather(series="temperature")
    temperatures(head_end, ("2026-06-01T12:00:00", 200), unit=27)
    assert timing.weather_objection(registry, hold, GATEWAY, now) == "no temperature is known"


def test_frost_that_comes_after_the_approval_holds_it_back(head_end, clock):
    use(head_end, weather=Weather(series="temperature"))
    temperatures(head_end, ("2026-06-01T12:00:00", 50))
    other = "HES20000001"
    paper = MeterPaper(id=other, gateway=GATEWAY, logical_device_name="L" * 16)
    commission(head_end.databases, [paper])
    head_end.relay_read(output=True, meter=other)
    for meter in (METER, other):
        head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
    assert len(head_end.published()) == 1  # the second is 10 s behind it
    temperatures(head_end, ("2026-06-01T12:00:05", -50))
    clock.advance(11)
    head_end.authority.turn()
    [waiting] = [each for each in head_end.commands() if each.state == "queued"]
    assert "too cold" in waiting.detail
    clock.advance(60)
    head_end.authority.turn()
    ended = head_end.command(waiting.id)
    assert ended.state == "expired"
    assert "too cold" in ended.detail


def test_a_street_is_not_switched_on_at_once(head_end, clock):
    use(head_end, gateway_reconnects_per_minute=2)
    meters = [f"HES2000{number:04d}" for number in range(3)]
    papers = [MeterPaper(id=each, gateway=GATEWAY, logical_device_name="L" * 16) for each in meters]
    commission(head_end.databases, papers)

    def signed() -> int:
        return len({each.id for each in head_end.published()})

    for meter in meters:
        assert head_end.ask_reconnect(meter=meter).state == "done"
    assert signed() == 2
    clock.advance(59)
    head_end.authority.turn()
    assert signed() == 2
    use(head_end, gateway_reconnects_per_minute=3)
    head_end.authority.turn()
    assert signed() == 3


def test_what_left_before_the_clock_was_set_back_holds_up_no_street(head_end, clock):
    use(head_end, gateway_reconnects_per_minute=1)
    assert head_end.ask_reconnect(meter=OTHER).state == "done"
    clock.advance(-3600)
    assert head_end.ask_reconnect().state == "done"
    assert {each.meter for each in head_end.published()} == {OTHER, METER}


def test_maintenance_is_a_time_and_a_place():
    work = Maintenance(
        name="substation", begin=at("2026-06-01T12:00:00"), end=at("2026-06-01T13:00:00"),
        gateways={GATEWAY},
    )  # fmt: skip
    policy = Policy(maintenance=(work,))
    begin = at("2026-06-01T12:00:00")
    assert policy.maintained(GATEWAY, begin) == "substation"
    assert policy.maintained("gw-2", begin) is None
    assert policy.maintained(GATEWAY, begin - timedelta(seconds=1)) is None
    assert policy.maintained(GATEWAY, at("2026-06-01T13:00:00")) is None
    everywhere = Policy(maintenance=(work.model_copy(update={"gateways": frozenset()}),))
    assert everywhere.maintained("gw-2", begin) == "substation"
    with pytest.raises(ValidationError):
        Maintenance(name="never", begin=begin, end=begin)


def test_a_batch_waits_while_people_work(head_end, clock):
    work = Maintenance(
        name="substation", begin=clock.now, end=clock.now + timedelta(minutes=5), gateways={GATEWAY}
    )
    use(head_end, maintenance=(work,))
    asked = head_end.ask("ann", "batch.propose", kind="ping", meters=[METER], reason="are they up")
    batch, digest = asked.outcome["batch"], asked.outcome["digest"]
    said = {"batch": batch, "digest": digest, "password": "second-pair-of-eyes"}
    assert head_end.ask("ben", "batch.approve", **said).state == "done"
    clock.now = work.end - timedelta(seconds=1)
    head_end.authority.turn()
    assert head_end.commands() == []
    clock.now = work.end
    head_end.authority.turn()
    assert [each.kind for each in head_end.commands()] == ["ping"]
