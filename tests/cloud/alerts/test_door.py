"""The door for rules: at most one open alert per subject, any number in a few statements."""

from datetime import timedelta

import numpy as np
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert
from hesper_cloud.rules.alerts import Gathered, Subject, Telling
from hesper_cloud.rules.voltage import VoltageRule
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Block, CommittedRows, Quantity
from sqlalchemy import select

METERS = [f"M0{t:02}{n:02}" for t in range(40) for n in range(50)]


def telling(meter: str, at, severity="warning") -> Telling:
    return Telling(Subject("voltage", meter=meter), severity, "Low.", at)


def test_what_is_open_is_counted_once_a_minute_and_not_raised_again(town):
    assert town.alerts.raise_all([telling("M00000", town.now)]) == 1
    town.now += timedelta(seconds=59)
    assert town.alerts.raise_all([telling("M00000", town.now)]) == 0
    assert [each.count for each in town.found()] == [1]
    town.now += timedelta(seconds=1)
    town.alerts.raise_all([telling("M00000", town.now)])
    (alert,) = town.found()
    assert (alert.count, alert.last_seen_at) == (2, town.now)
    assert town.alerts.clear(Subject("voltage", meter="M00000"))
    assert not town.alerts.clear(Subject("voltage", meter="M00000"))
    assert town.alerts.raise_all([telling("M00000", town.now)]) == 1
    assert town.steps(alert.id) == ["raised", "cleared"]


def test_the_same_meter_behind_another_gateway_is_another_subject(town):
    own = Subject("owner", meter="M00000", gateway="gw-1")
    assert town.alerts.raise_(own, "critical", "Moved.")
    assert town.alerts.raise_(Subject("owner", meter="M00000"), "critical", "Moved.")
    assert town.alerts.clear(own)
    assert [each.gateway for each in town.found()] == [None]


def test_what_is_told_with_its_area_is_of_that_area_and_a_meter_else_of_its_own(town):
    element = Subject("outage", element="F0")
    town.alerts.raise_all([Telling(element, "warning", "Lost.", town.now, area="Hill")])
    town.alerts.raise_all([telling("M00000", town.now)])
    assert [each.area for each in town.found()] == ["Hill", "Old Town"]


def test_what_becomes_worse_says_so_at_once_and_is_never_said_to_be_milder(town):
    town.alerts.raise_all([telling("M00000", town.now)])
    for severity in ("critical", "warning", "info"):
        town.now += timedelta(seconds=2)
        town.alerts.raise_all([telling("M00000", town.now, severity)])
    (alert,) = town.found()
    assert (alert.severity, town.steps(alert.id)) == ("critical", ["raised", "worsened"])


def test_whom_an_alert_concerns_is_kept_true_once_a_minute(town):
    for seconds, customers, said in ((0, 3, 3), (2, 40, 3), (60, 500, 500), (60, 20, 20)):
        town.now += timedelta(seconds=seconds)
        outage = Subject("outage", element="F0")
        told = Telling(outage, "warning", f"{customers}.", town.now, affected_count=customers)
        town.alerts.raise_all([told])
        (alert,) = town.found()
        assert (alert.affected_count, alert.text) == (said, f"{said}.")
    assert town.steps(alert.id) == ["raised"]


def test_raised_cleared_and_raised_in_one_block_is_two_alerts(town):
    gathered, subject = Gathered(town.alerts), Subject("voltage", meter="M00000")
    gathered.raise_(telling("M00000", town.now))
    gathered.clear(subject, town.now)
    gathered.raise_(telling("M00000", town.now))
    gathered.flush()
    with reading(town.engine) as session:
        states = session.scalars(select(Alert.state).order_by(Alert.id)).all()
    assert states == ["cleared", "new"]


def block(town, volts: int) -> CommittedRows:
    count, at = len(METERS), int(town.now.timestamp())
    made = Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity("1.0.32.7.0.255", 0, 35),),
        meters=tuple(METERS),
        meter_index=np.arange(count, dtype=np.int64),
        captured_at=np.full(count, at, dtype=np.int64),
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.zeros(count, dtype=np.int64),
        received_at=at,
        values=np.full((1, count), volts, dtype=np.int64),
        missing=None,
    )
    return CommittedRows("gw-1", made, np.ones(count, dtype=bool), at)


def test_a_sag_of_two_thousand_meters_is_written_by_a_few_statements(town, counted):
    rule = VoltageRule(town.alerts, RuleSettings(), clock=town.now.timestamp)
    counted()
    rule.rows_committed(block(town, 190))
    assert counted() <= 20
    assert len(town.found("voltage")) == len(METERS)
    rule.rows_committed(block(town, 230))
    assert counted() <= 20
    assert town.found("voltage") == []
