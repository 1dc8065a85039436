"""Nothing that is to be told gets lost: dead targets, restarts, quiet hours, storms, work."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud import keys
from hesper_cloud.alert_settings import AlertSettings, DeliverySettings
from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert, AlertChange, DeliveryTarget, Meter
from hesper_cloud.delivery.routes import QuietHours, RoutePolicy
from hesper_cloud.rules.alerts import Subject, Telling
from pydantic import ValidationError
from sqlalchemy import delete, insert, select, update

SECRET = "a webhook's secret"
VOLTAGE = Subject("voltage", meter="M1")


@pytest.fixture
def target(house, hook, authority) -> int:
    return house.target({"kind": "webhook", "url": hook.url, "ca": authority.pem}, SECRET)


def told(house) -> list[tuple[str, str]]:
    return [(each.kind, each.state) for each in house.outbox()]


def open_rules(house) -> list[str]:
    query = select(Alert.rule).where(Alert.state != "cleared").order_by(Alert.id)
    with reading(house.engine) as session:
        return list(session.scalars(query))


def test_a_dead_target_loses_nothing_and_raises_one_alert_of_its_own(house, hook, target):
    house.route(target, digest_above=100)
    hook.answers = [(500, {}, b"")] * 5
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    for n in range(3):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "warning", "More.")
        house.turn(300)
    house.turn(300)
    failing = [rule for rule in open_rules(house) if rule.startswith("delivery-failing")]
    assert failing == ["delivery-failing/ops"]
    assert all(state == "waiting" for _, state in told(house))
    house.start()  # a restart of the process in between
    for _ in range(12):
        house.turn(1800)
    assert [state for _, state in told(house)] == ["sent"] * 4
    seen = {headers["idempotency-key"] for _, headers, _ in hook.arrived}
    assert seen == {each.message_id for each in house.outbox()}
    assert not any(rule.startswith("delivery-failing") for rule in open_rules(house))
    with reading(house.engine) as session:
        kept = session.get_one(DeliveryTarget, target)
    assert (kept.failures, kept.problem) == (0, None)


@pytest.mark.parametrize(
    "leave",
    [delete(DeliveryTarget), update(DeliveryTarget).values(name="shift")],
    ids=["removed", "renamed"],
)
def test_a_target_that_is_gone_leaves_no_alert_behind(house, hook, target, leave):
    house.route(target)
    hook.answers = [(500, {}, b"")] * 3
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    for _ in range(3):
        house.turn(1800)
    assert open_rules(house) == ["voltage", "delivery-failing/ops"]
    house.turn()
    assert open_rules(house) == ["voltage", "delivery-failing/ops"]
    with writing(house.engine) as session:
        session.execute(leave)
    house.turn()
    assert open_rules(house) == ["voltage"]


def test_a_slow_or_dead_target_holds_up_no_other(house, hook, target, authority):
    dead = {"kind": "webhook", "url": "https://127.0.0.1:1/", "ca": authority.pem}
    house.route(house.target(dead, SECRET, "dead"), "to-dead")
    house.route(target, "to-living")
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    assert len(hook.arrived) == 1
    assert sorted(state for _, state in told(house)) == ["sent", "waiting"]


def test_a_clock_that_is_set_back_holds_nothing_up(house, hook, target):
    house.route(target)
    hook.answers = [(500, {}, b"")]
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    house.alerts.raise_(Subject("rule-1", meter="M1"), "warning", "More.")
    house.turn(-7200)  # both are of the future now, and so is the failure of the target
    house.turn(1)
    house.turn(1)
    house.alerts.raise_(Subject("rule-2", meter="M1"), "warning", "Later.")
    house.turn(11)
    assert [state for _, state in told(house)] == ["sent"] * 3


@pytest.mark.parametrize("lost", ["gone", "damaged", "another"])
def test_without_the_key_of_its_secret_a_target_has_one_alert_and_nothing_is_lost(
    house, hook, target, tmp_path, lost
):
    file = tmp_path / "keys" / "delivery.key"
    file.parent.mkdir()
    file.write_text("" if lost == "damaged" else "77" * 32)
    house.vault = keys.delivery_vault(file.parent)
    if lost == "gone":
        file.unlink()
    house.start()
    house.route(target, digest_above=100)
    for n in range(4):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "warning", "More.")
        house.turn(1800)
    assert [rule for rule in open_rules(house) if "failing" in rule] == ["delivery-failing/ops"]
    assert [state for _, state in told(house)] == ["waiting"] * 4
    assert hook.arrived == []
    file.write_text("00" * 32)  # the file is put back
    for _ in range(4):
        house.turn(1800)
    assert [state for _, state in told(house)] == ["sent"] * 4
    assert not any("failing" in rule for rule in open_rules(house))


def test_what_left_but_was_not_noted_leaves_again_under_the_same_id(
    house, hook, target, monkeypatch
):
    house.route(target)
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    monkeypatch.setattr(house.sender, "_note", lambda _: None)  # killed between sending and noting
    house.turn(11)
    house.start()
    house.turn(1)
    first, second = (headers["idempotency-key"] for _, headers, _ in hook.arrived)
    assert first == second
    assert told(house) == [("alert", "sent")]


def test_what_nobody_takes_for_two_weeks_is_given_up_and_said(house, hook, target):
    house.route(target)
    hook.answers = [(500, {}, b"")] * 2
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    house.turn(timedelta(days=15).total_seconds())
    (given_up,) = house.outbox()
    assert (given_up.state, given_up.reason) == ("expired", "not delivered within 14 days")


def test_alerts_that_were_erased_meanwhile_are_not_told(house, hook, target):
    house.route(target)
    hook.answers = [(500, {}, b"")]
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    with writing(house.engine) as session:
        session.execute(delete(Alert).where(Alert.meter == "M1"))
    house.turn(600)
    assert len(hook.arrived) == 1
    assert house.attempts()[-1].answer == "nothing is left to tell: what it was about was erased"


def test_what_follows_an_erasure_is_told(house, hook, target):
    house.route(target)
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    with writing(house.engine) as session:
        session.execute(delete(Alert))  # and with it the newest steps that were followed
    house.alerts.raise_(Subject("voltage", meter="M2"), "warning", "Low, too.")
    house.turn(11)
    assert [b"Low, too." in body for _, _, body in hook.arrived] == [False, True]


def test_routes_choose_by_severity_rule_area_and_gateway(house, hook, target):
    house.route(target, min_severity="critical", rules=("tamper.*",), areas=("Harbour",))
    for meter, rule, severity in (
        ("M1", "tamper.cover", "warning"),
        ("M1", "voltage", "critical"),
        ("M2", "tamper.cover", "critical"),
        ("M1", "tamper.magnet", "critical"),
    ):
        house.alerts.raise_(Subject(rule, meter=meter), severity, f"{rule} of {meter}")
    house.turn(11)
    assert len(hook.arrived) == 1
    assert b"tamper.magnet of M1" in hook.arrived[0][2]


def street(house, count: int) -> list[Subject]:
    """Returns what the silence of new meters is about, all behind one gateway."""
    homes = [f"S{n:03}" for n in range(count)]
    with writing(house.engine) as session:
        same = {"gateway_id": "gw-1", "first_seen_at": house.now, "state": "commissioned"}
        rows = [{"id": each, "life_support": False, **same} for each in homes]
        session.execute(insert(Meter), rows)
    return [Subject("silent-meter", meter=each) for each in homes]


def fall_silent(house, subjects: list[Subject]) -> None:
    house.alerts.raise_all(
        [Telling(each, "warning", "Silent.", house.now, symptom=True) for each in subjects]
    )


def test_a_storm_is_one_message(house, hook, target):
    subjects = street(house, 200)
    house.route(target)
    keeping = AlertKeeping(house.engine, AlertSettings(), house.clock)
    fall_silent(house, subjects)
    keeping.turn()
    house.turn(11)
    ((_, _, body),) = hook.arrived
    assert b"Gateway gw-1: 200 of 202 meters, silent meter." in body
    house.alerts.clear_all([(each, house.now) for each in subjects])
    keeping.turn()
    house.turn(11)
    assert len(hook.arrived) == 2
    assert b'"what":"cleared"' in hook.arrived[1][2]


@dataclass
class Storm:
    """Meters behind one gateway that fall silent, a shift that hears all, and a critical pager."""

    house: Any
    hook: Any
    meters: list[Subject]

    def __post_init__(self) -> None:
        settings = AlertSettings(storm_share_percent=40)
        self._keeping = AlertKeeping(self.house.engine, settings, self.house.clock)

    def become(self, silent_count: int) -> None:
        """Lets so many be silent, and no others."""
        over = self.meters[silent_count:]
        self.house.alerts.clear_all([(each, self.house.now) for each in over])
        fall_silent(self.house, self.meters[:silent_count])
        self._keeping.turn()

    def heard(self, silent_count: int) -> list[str]:
        """Returns what is told when so many are silent."""
        self.become(silent_count)
        self.house.turn(11)
        found = [json.loads(body)["entries"][0]["what"] for _, _, body in self.hook.arrived]
        self.hook.arrived.clear()
        return found

    def told_by(self) -> list[int | None]:
        return [each.route_id for each in self.house.outbox()]


@pytest.fixture
def storm(house, hook, target) -> Storm:
    tells = ("raised", "surfaced", "cleared", "grew")
    house.route(target, "shift", tells=tells[:3])
    house.route(target, "pager", min_severity="critical", tells=tells)
    return Storm(house, hook, street(house, 150))


@pytest.mark.parametrize("before", [80, 70])  # 150 are more than twice as many as the second
def test_a_storm_that_becomes_critical_begins_then_for_a_route_of_critical_alerts(storm, before):
    assert storm.heard(before) == ["raised"]
    assert storm.heard(150) == ["raised"]
    assert storm.told_by() == [1, 2]


def test_a_route_is_not_told_twice_and_hears_the_end_whatever_it_is_by_then(storm):
    assert storm.heard(80) == ["raised"]
    assert storm.heard(150) == ["raised"]
    assert storm.heard(80) == []  # no longer critical
    assert storm.heard(120) == []
    assert storm.heard(80) == []
    assert storm.heard(0) == ["cleared", "cleared"]
    assert storm.told_by() == [1, 2, 1, 2]


def test_the_end_is_no_news_to_a_route_that_heard_of_no_beginning(storm):
    assert storm.heard(80) == ["raised"]
    storm.become(150)  # over before that has settled
    assert storm.heard(0) == ["cleared"]
    assert storm.told_by() == [1, 1]


@pytest.mark.parametrize(
    ("tells", "heard"), [(("cleared",), ["cleared"]), (("grew", "cleared"), ["grew", "cleared"])]
)
def test_a_route_that_wants_no_beginnings_hears_the_rest(house, hook, target, tells, heard):
    house.route(target, tells=tells, min_severity="warning")
    storm = Storm(house, hook, street(house, 150))
    assert storm.heard(70) == []
    assert [*storm.heard(150), *storm.heard(0)] == heard  # of the storm alone, not of its meters
    house.alerts.raise_(VOLTAGE, "info", "Low.")
    house.turn(11)
    house.alerts.clear(VOLTAGE)
    house.turn(11)
    assert hook.arrived == []  # too small a matter


def test_a_storm_that_becomes_critical_in_quiet_hours_does_not_wait(house, hook, target):
    house.route(target, "shift", quiet=QuietHours(begin="11:00", end="18:00"))
    storm = Storm(house, hook, street(house, 150))
    assert storm.heard(80) == []  # waits
    assert storm.heard(150) == ["raised"]


def test_more_than_a_few_are_gathered_and_leave_every_two_minutes(house, hook, target):
    house.route(target, digest_above=2)
    for n in range(2):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "warning", "One.")
    house.turn(11)
    assert [kind for kind, _ in told(house)] == ["alert", "alert"]
    for n in range(2, 8):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "warning", "More.")
        house.turn(11)
    assert told(house)[2:] == [("digest", "waiting")]
    house.turn(120)
    assert told(house)[2:] == [("digest", "sent")]
    assert hook.arrived[-1][2].count(b'"what":"raised"') == 6


def test_what_a_clock_ahead_had_told_gathers_nothing_when_it_is_right(house, hook, target):
    year_s = 365 * 86_400
    house.route(target, digest_above=2)
    house.turn(year_s)
    for n in range(3):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "warning", "Silent.")
        house.turn(11)
    house.turn(-year_s)
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "The cover is open.")
    house.turn(11)
    house.turn(130)
    assert b"The cover is open." in hook.arrived[-1][2]


def test_quiet_hours_let_through_what_cannot_wait(house, hook, target):
    quiet = QuietHours(begin="22:00", end="06:00", zone="Europe/Berlin")
    house.route(target, quiet=quiet)
    house.now = datetime(2026, 6, 1, 23, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Opened.")
    house.turn(11)
    assert len(hook.arrived) == 1
    assert b"Opened." in hook.arrived[0][2]
    house.alerts.raise_(Subject("other", meter="M1"), "warning", "Another.")
    house.turn(11)
    waiting = [each for each in house.outbox() if each.state == "waiting"]
    assert [(each.kind, each.reason) for each in waiting] == [("digest", "quiet hours")]
    house.now = datetime(2026, 6, 2, 6, 0, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    house.turn()
    assert len(hook.arrived) == 2
    assert (b"Low." in hook.arrived[1][2], b"Another." in hook.arrived[1][2]) == (True, True)


def test_many_at_once_do_not_wait_with_what_may_wait_for_the_morning(house, hook, target):
    house.route(target, digest_above=2, quiet=QuietHours(begin="11:00", end="18:00"))
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    for n in range(4):
        house.alerts.raise_(Subject(f"rule-{n}", meter="M1"), "critical", "Now.")
        house.turn(11)
    house.turn(120)
    assert sum(body.count(b"Now.") for _, _, body in hook.arrived) == 4
    waiting = [each for each in house.outbox() if each.state == "waiting"]
    assert [(each.reason, len(each.entries["changes"])) for each in waiting] == [("quiet hours", 1)]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-06-01T21:59:59", None),
        ("2026-06-01T22:00:00", "2026-06-02T06:00:00"),
        ("2026-06-02T05:59:59", "2026-06-02T06:00:00"),
        ("2026-06-02T06:00:00", None),
        ("2026-10-24T23:00:00", "2026-10-25T06:00:00"),  # summer time ends within
    ],
)
def test_quiet_hours_go_over_midnight_in_their_own_zone(at, until):
    zone = ZoneInfo("Europe/Berlin")
    quiet = QuietHours(begin="22:00", end="06:00", zone="Europe/Berlin")
    found = quiet.until(datetime.fromisoformat(at).replace(tzinfo=zone))
    assert found == (until and datetime.fromisoformat(until).replace(tzinfo=zone))


def test_where_people_work_alerts_are_held_and_told_if_they_outlast_the_work(house, hook, target):
    house.route(target)
    house.worked_at = {"gw-1"}
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Opened.")
    house.turn(11)
    assert told(house) == [("alert", "held")] * 2
    house.alerts.clear(VOLTAGE)
    house.worked_at = set()
    house.turn(5)
    assert told(house) == [("alert", "muted"), ("alert", "sent")]
    assert b"Opened." in hook.arrived[0][2]


def test_what_was_before_a_route_is_not_told(house, hook, target):
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    house.route(target)
    house.turn(60)
    assert house.outbox() == []


def test_the_history_of_an_alert_says_whom_it_was_told(house, target):
    house.route(target)
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    query = select(AlertChange.action, AlertChange.detail).order_by(AlertChange.id)
    with reading(house.engine) as session:
        assert session.execute(query).all() == [("raised", None), ("told", "to ops, route 1")]


def test_a_target_is_not_told_of_its_own_failure(make_house, hook, authority):
    settings = DeliverySettings(reachable=("127.0.0.0/8",), alarm_after_failures=1, timeout_s=30)
    house = make_house(settings)
    wanted = {"kind": "webhook", "url": hook.url, "ca": authority.pem}
    for name in ("ops", "second"):
        house.route(house.target(wanted, SECRET, name), f"to-{name}", rules=("*",))
    hook.answers = [(500, {}, b"")] * 2
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    house.turn(11)
    texts = {(each.target_id, len(each.entries["changes"])) for each in house.outbox()}
    assert texts == {(1, 1), (2, 1)}
    assert len(house.outbox()) == 4  # each hears of the other


def test_old_messages_are_forgotten_once_they_are_settled(house, hook, target):
    house.route(target)
    house.alerts.raise_(VOLTAGE, "warning", "Low.")
    house.turn(11)
    house.now += timedelta(days=91)
    house.sender.forget()
    assert (house.outbox(), house.attempts()) == ([], [])


@pytest.mark.parametrize(
    "policy",
    [
        {"min_severity": "huge"},
        {"quiet": {"begin": "22:00", "end": "22:00"}},
        {"quiet": {"begin": "22:00", "end": "06:00", "zone": "Mars/Olympus"}},
        {"tells": []},
        {"digest_above": -1},
        {"unknown": 1},
    ],
)
def test_a_route_that_makes_no_sense_is_refused(policy):
    with pytest.raises(ValidationError):
        RoutePolicy(**policy)
