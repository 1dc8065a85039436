"""The certificate that the console shows, whoever signed it, is watched like those of our own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hesper_cloud.ca import profile
from hesper_cloud.certificates import Desk
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.certificates import CertificateRule
from prometheus_client import REGISTRY
from sqlalchemy import select

NAME = "hes.example"
DAY_S = 86_400


def of_another(desk: Desk, days: int, subject: x509.Name) -> x509.Certificate:
    """A certificate as a public authority makes it."""
    key = profile.fresh_key()
    builder = x509.CertificateBuilder(
        issuer_name=profile.common_name("Another Authority"),
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=7,
        not_valid_before=desk.now,
        not_valid_after=desk.now + timedelta(days=days),
    )
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.DNSName("www.hes.example")])
    return builder.add_extension(names, critical=False).sign(key, hashes.SHA256())


@pytest.mark.parametrize(
    ("days", "quiet_until", "subject"),
    [
        (397, 366, profile.common_name(NAME)),  # a month is long enough for people
        (90, 74, x509.Name([])),  # a program has renewed it at 60 days, or has failed
        (6, 4, x509.Name([])),
    ],
)
def test_people_are_told_before_it_ends_and_when_it_is_over(
    desk: Desk, head_end: Any, days: int, quiet_until: int, subject: x509.Name
) -> None:
    shown = of_another(desk, days, subject)
    authority, registry = desk.databases.authority, desk.databases.registry
    rule = CertificateRule(
        desk.settings, authority, Alerts(registry), head_end.clock, lambda: shown
    )
    told = _telling(rule, registry)
    assert told() == []
    head_end.clock.advance(quiet_until * DAY_S)
    assert told() == []
    assert late() == 0
    head_end.clock.advance(2 * DAY_S - 1)
    assert told() == [f"certificate-ends/server/{NAME}"]
    labels = {"kind": "server"}
    left_s = REGISTRY.get_sample_value("hesper_certificate_expires_seconds", labels)
    assert left_s == (days - quiet_until - 2) * DAY_S + 1
    assert late() == 1
    head_end.clock.advance((days - quiet_until) * DAY_S)
    assert told() == [f"certificate-ended/server/{NAME}"]
    shown = of_another(Desk(desk.settings, desk.databases, head_end.clock.now), days, subject)
    assert told() == []


def late() -> float | None:
    return REGISTRY.get_sample_value("hesper_certificates_late", {"kind": "server"})


def _telling(rule: CertificateRule, registry: Any) -> Callable[[], list[str]]:
    def told() -> list[str]:
        rule.check()
        with reading(registry) as session:
            return list(session.scalars(select(Alert.rule).where(Alert.state != "cleared")))

    return told
