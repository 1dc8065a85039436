"""What is asked for every few seconds is found by an index, however long the history is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.authority import alarms, backfill, facts
from hesper_cloud.authority.policy import BackfillLimits
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.gaps import rows
from hesper_cloud.outages import losses
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.sim_data import SimDataRule
from hesper_cloud.services.fleet_figures import FleetFigures
from sqlalchemy import Engine, event

METER, PROFILE = "HES12642984", "1.0.99.1.0.255"
HOUR = timedelta(hours=1)


@contextmanager
def steps_of(engine: Engine) -> Iterator[set[str]]:
    """Yields how SQLite finds what is asked for, once that was asked."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    steps: set[str] = set()
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield steps
    finally:
        event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps.update(row[3] for row in plan)


def scanned(steps: set[str]) -> set[str]:
    """Returns which tables are gone through from one end to the other."""
    return {step.split()[1] for step in steps if step.startswith("SCAN")}


def test_commands_of_late_are_found_among_those_of_years(head_end: Any) -> None:
    registry, authority = head_end.databases.registry, head_end.databases.authority
    now = head_end.clock()
    meter = facts.meter_facts(registry, METER)
    assert meter is not None
    with steps_of(authority) as steps, reading(authority) as session:
        alarms._asked(session, now - HOUR)
        backfill.check_rate(session, BackfillLimits(), meter, now)
    assert "commands" not in scanned(steps)
    assert {step for step in steps if "gateway" in step} == {
        f"SEARCH commands USING INDEX ix_commands_gateway_state_created_at (gateway=? AND {which})"
        for which in ("state=?", "state=? AND created_at>? AND created_at<?")
    }
    assert any("(kind=? AND created_at>?" in step for step in steps), steps
    sources = SimpleNamespace(
        registry=registry, authority=authority, clock=head_end.clock, settings=head_end.settings
    )
    with steps_of(authority) as steps:
        FleetFigures(cast("Any", sources)).turn()
    assert steps
    assert "commands" not in scanned(steps)


def test_gaps_that_were_given_up_lately_are_found_among_those_of_years(head_end: Any) -> None:
    registry = head_end.databases.registry
    with steps_of(registry) as steps, reading(registry) as session:
        rows.by_meter(session, PROFILE, int(head_end.clock().timestamp()))
    assert any("(state=? AND to_at>?" in step for step in steps), steps


def test_who_is_without_power_is_found_among_the_losses_of_years(head_end: Any) -> None:
    registry = head_end.databases.registry
    with steps_of(registry) as steps, writing(registry) as session:
        losses.read_again(session, {})
    assert scanned(steps) == set()


def test_open_alerts_are_found_among_those_of_years(head_end: Any) -> None:
    registry, clock = head_end.databases.registry, head_end.clock
    alerts, settings = Alerts(registry, clock), head_end.settings.alerts
    keeping = AlertKeeping(registry, settings, clock)
    keeping.turn()
    with steps_of(registry) as steps:
        keeping.turn()
        alerts.open_subjects("delivery-failing/")
        SimDataRule(registry, alerts, clock).check()
    assert "alerts" not in scanned(steps), steps
