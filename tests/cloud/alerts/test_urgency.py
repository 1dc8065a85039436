"""Priority by its documented formula, the rate of new alerts, and a flood that is told once."""

from datetime import timedelta

import pytest
from hesper_cloud.alerting import rates
from hesper_cloud.alerting.priority import priority
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert, AlertChange
from hesper_cloud.rules.alerts import Subject, Telling
from sqlalchemy import func, select

HOUR = 3600


@pytest.mark.parametrize(
    ("severity", "age_s", "customers", "expected"),
    [
        ("info", 0, 0, 100),
        ("warning", 899, 1, 300),
        ("warning", 900, 1, 305),
        ("critical", 0, 2000, 798),
        ("critical", 10 * HOUR, 1, 800),
        ("critical", 1000 * HOUR, 10**9, 1000),
        ("info", 1000 * HOUR, 10**9, 500),
        ("warning", 1000 * HOUR, 10**9, 700),
        ("critical", -5, 1, 600),
    ],
)
def test_priority_is_severity_age_and_customers(severity, age_s, customers, expected):
    assert priority(severity, age_s, customers) == expected


def test_the_job_reckons_anew_as_alerts_age(town):
    town.alerts.raise_(Subject("tamper.cover", meter="M00000"), "critical", "Opened.")
    assert [each.priority for each in town.found()] == [600]
    town.later(4 * HOUR)
    assert [each.priority for each in town.found()] == [680]


def scattered(town, count: int) -> list[Telling]:
    return [
        Telling(Subject(f"rule-{n}", meter=f"M0{n % 40:02}00"), "info", "…", town.now)
        for n in range(count)
    ]


def test_a_flood_is_one_alert_told_once_and_over_when_it_has_ebbed_away(town):
    limit = town.settings.flood_per_10_min
    town.alerts.raise_all(scattered(town, limit))
    town.later(1)
    assert town.found("alert-flood") == []
    town.alerts.raise_(Subject("last", meter="M00000"), "info", "One more.")
    town.later(1)
    (flood,) = town.found("alert-flood")
    assert flood.text.startswith(f"{limit + 1} new alerts in 10 minutes")
    town.later(60)
    assert [each.id for each in town.found("alert-flood")] == [flood.id]
    town.later(600)
    assert town.found("alert-flood") == []


def test_a_flood_of_a_clock_ahead_ends_when_the_clock_is_right(town):
    year_s = 365 * 24 * HOUR
    town.later(year_s)
    town.alerts.raise_all(scattered(town, town.settings.flood_per_10_min + 1))
    town.later(1)
    assert town.found("alert-flood")
    town.later(-year_s)
    assert town.found("alert-flood") == []
    with reading(town.engine) as session:
        assert list(rates.by_window(session, town.now, 2)) == [0, 0]


def test_hidden_alerts_are_not_counted_as_new(town):
    homes = town.homes(0)
    told = [Telling(Subject("voltage", meter=each), "warning", "Low.", town.now) for each in homes]
    town.alerts.raise_all(told)
    town.later(1)
    assert town.found("alert-flood") == []
    with reading(town.engine) as session:
        assert rates.recent(session, town.now) == [("storm/voltage", 1)]


def test_new_alerts_are_counted_by_spans_of_ten_minutes(town):
    for count in (1, 0, 3):
        if count:
            town.alerts.raise_all(
                [Telling(Subject(f"{town.now} {n}"), "info", "…", town.now) for n in range(count)]
            )
        town.now += timedelta(minutes=10)
    with reading(town.engine) as session:
        assert list(rates.by_window(session, town.now - timedelta(seconds=1), 4)) == [0, 1, 0, 3]


def test_what_was_cleared_long_ago_is_forgotten_with_its_history(town):
    subject = Subject("voltage", meter="M00000")
    for _ in range(2):
        town.alerts.raise_(subject, "warning", "Low.")
        town.alerts.clear(subject)
        town.now += timedelta(days=town.settings.kept_days)
    town.alerts.raise_(subject, "warning", "Low.")
    town.keeping.forget()
    with writing(town.engine) as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 2
        assert session.scalar(select(func.count()).select_from(AlertChange)) == 3
