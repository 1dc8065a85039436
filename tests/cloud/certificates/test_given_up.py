"""A name that is not used any more: its last certificate ends, and an alert about it can end."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import certificates
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import ShutOut
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.certificates import CertificateRule
from prometheus_client import REGISTRY
from signing import GATEWAY, give, request
from sqlalchemy import select

YEAR = timedelta(days=366)
NAME = "hes.old.example"
ENDED = ("certificate-ended/server/" + NAME, None)


@pytest.fixture
def told(desk: Desk, head_end: Any) -> Callable[[], list[tuple[str, str | None]]]:
    """Alerts of certificates that are open after a look, the head end started anew each time."""
    registry = desk.databases.registry

    def look() -> list[tuple[str, str | None]]:
        authority, alerts = desk.databases.authority, Alerts(registry)
        CertificateRule(desk.settings, authority, alerts, head_end.clock).check()
        with reading(registry) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return [(row.rule, row.gateway) for row in rows]

    return look


def now(desk: Desk, head_end: Any) -> Desk:
    return Desk(desk.settings, desk.databases, head_end.clock.now)


def test_a_server_whose_name_changed_is_given_up_by_revoking_its_last(
    desk: Desk, head_end: Any, told: Callable[[], Any], tmp_path: Path
) -> None:
    for _ in range(2):
        certificates.server(now(desk, head_end), [NAME], tmp_path)
        head_end.clock.advance(YEAR.total_seconds())
    head_end.clock.advance(YEAR.total_seconds())
    assert told() == [ENDED]
    (last,) = certificates.show(now(desk, head_end))
    assert (last.name, last.not_after < head_end.clock.now) == (NAME, True)
    assert certificates.revoke(now(desk, head_end), last.serial, "renamed") == NAME
    assert told() == []
    assert certificates.show(now(desk, head_end)) == []
    with pytest.raises(ProvisioningError, match="counts"):
        certificates.revoke(now(desk, head_end), last.serial, "again")


def test_revoking_the_newest_of_a_name_raises_no_alert_about_those_before(
    desk: Desk, head_end: Any, told: Callable[[], Any], tmp_path: Path
) -> None:
    for _ in range(2):
        certificates.server(now(desk, head_end), [NAME], tmp_path)
        head_end.clock.advance(YEAR.total_seconds())
    (good,) = certificates.show(now(desk, head_end))
    certificates.revoke(now(desk, head_end), good.serial, "renamed")
    head_end.clock.advance(YEAR.total_seconds())
    assert told() == []


def test_a_gateway_that_enrolled_again_without_a_certificate_is_not_late_with_it(
    desk: Desk, head_end: Any, told: Callable[[], Any]
) -> None:
    give(desk, request(GATEWAY))
    head_end.clock.advance(YEAR.total_seconds())
    assert told() == [("certificate-ended", GATEWAY)]
    assert certificates.shut_out(now(desk, head_end), GATEWAY, "by password from now on") == 1
    with writing(desk.databases.authority) as session:  # as the enrolment does it
        session.delete(session.get_one(ShutOut, GATEWAY))
    assert told() == []


def test_no_time_is_told_of_a_kind_that_has_no_certificate_left(
    desk: Desk, head_end: Any, tmp_path: Path
) -> None:
    def left_s() -> float | None:
        labels = {"kind": "server"}
        return REGISTRY.get_sample_value("hesper_certificate_expires_seconds", labels)

    alerts = Alerts(desk.databases.registry)
    rule = CertificateRule(desk.settings, desk.databases.authority, alerts, head_end.clock)
    certificates.server(now(desk, head_end), [NAME], tmp_path)
    rule.check()
    assert left_s() == timedelta(days=397).total_seconds()
    (good,) = certificates.show(now(desk, head_end))
    certificates.revoke(now(desk, head_end), good.serial, "renamed")
    rule.check()
    assert left_s() is None
