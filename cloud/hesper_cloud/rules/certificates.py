"""Certificates that are about to end, told to people and to Prometheus.

A gateway renews its certificate after two thirds of its life; one that has not after five sixths
has failed for days. Servers' certificates, and the authority's own, are renewed by people; what the
console shows counts, too, whoever signed it, and may be one that a program renews in time. One
that has ended is an alert of another rule, which takes the place of the first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID
from hesper_contracts.events import Severity
from sqlalchemy import Engine, select

from hesper_cloud import metrics
from hesper_cloud.ca import custody, issuing
from hesper_cloud.ca.issuing import GATEWAY, SERVER
from hesper_cloud.db.authority import Certificate, ShutOut
from hesper_cloud.db.engines import reading
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import Settings
from hesper_cloud.worded import later, worded

_AUTHORITY = "authority"
_ALL = "certificate-"
_ENDED = f"{_ALL}ended"
_LAST_PART = 6
_WORDS = {  # by whether it is over, and whether it is a gateway's, which renews its own
    (False, False): later("The certificate of {name} ends at {at} UTC."),
    (False, True): later("The certificate of {name} ends at {at} UTC and was not renewed."),
    (True, False): later("The certificate of {name} ended at {at} UTC."),
    (True, True): later("The certificate of {name} ended at {at} UTC and was not renewed."),
}
_FOR_PEOPLE = {SERVER: timedelta(days=30), _AUTHORITY: timedelta(days=180)}


@dataclass(frozen=True, slots=True)
class Newest:
    """The certificate of one name that ends last."""

    kind: str
    name: str
    began: datetime
    ends: datetime

    def subject(self, is_over: bool) -> Subject:
        """Returns what an alert would be about before the end, or after it."""
        if self.kind == GATEWAY:
            return Subject(_ENDED if is_over else "certificate-renewal", gateway=self.name)
        rule = _ENDED if is_over else "certificate-ends"
        return Subject(f"{rule}/{self.kind}/{self.name}")

    def is_late(self, now: datetime) -> bool:
        """Whether a person must know."""
        last_part = (self.ends - self.began) / _LAST_PART
        return now >= self.ends - min(last_part, _FOR_PEOPLE.get(self.kind, last_part))


class CertificateRule:
    """Looks at every certificate that counts."""

    def __init__(
        self,
        settings: Settings,
        authority: Engine,
        alerts: Alerts,
        clock: Callable[[], datetime],
        shown: Callable[[], x509.Certificate | None] = lambda: None,
    ) -> None:
        """Prepares the looks; ``shown`` tells what the console shows to browsers, if anything."""
        self._settings = settings
        self._shown = shown
        self._authority = authority
        self._alerts = alerts
        self._clock = clock
        self._measured: set[str] = set()

    def check(self) -> None:
        """Raises an alert for each that is late, clears those that were, sets the metrics."""
        now = self._clock()
        found = self._found(now)
        late = {each.subject(now >= each.ends): each for each in found if each.is_late(now)}
        for subject, each in late.items():
            is_over = now >= each.ends
            severity: Severity = "critical" if is_over else "warning"
            words = _WORDS[is_over, each.kind == GATEWAY]
            text = worded(words, name=each.name, at=f"{each.ends:%F %R}")
            self._alerts.raise_(subject, severity, text, at=now)
        for subject in self._alerts.open_subjects(_ALL) - late.keys():
            self._alerts.clear(subject, at=now)
        self._measure(found, now)

    def _measure(self, found: list[Newest], now: datetime) -> None:
        kinds = {each.kind for each in found}
        for gone in self._measured - kinds:
            metrics.CERTIFICATE_EXPIRES.remove(gone)
            metrics.CERTIFICATES_LATE.remove(gone)
        self._measured = kinds
        for kind in kinds:
            its = [each for each in found if each.kind == kind]
            first = min(each.ends for each in its)
            metrics.CERTIFICATE_EXPIRES.labels(kind).set((first - now).total_seconds())
            metrics.CERTIFICATES_LATE.labels(kind).set(sum(each.is_late(now) for each in its))

    def _found(self, now: datetime) -> list[Newest]:
        shut_out = select(ShutOut.gateway)
        columns = Certificate.kind, Certificate.name, Certificate.issued_at, Certificate.not_after
        query = issuing.counting(now).where(Certificate.name.not_in(shut_out))
        with reading(self._authority) as session:
            rows = session.execute(query.with_only_columns(*columns))
            found = list({row[:2]: Newest(*row) for row in rows}.values())
        if (shown := self._shown()) is not None:
            life = shown.not_valid_before_utc, shown.not_valid_after_utc
            found.append(Newest(SERVER, _name_of(shown), *life))
        for own in custody.load_chain(self._settings.keys)[:1]:
            name = own.subject.rfc4514_string()
            found.append(
                Newest(_AUTHORITY, name, own.not_valid_before_utc, own.not_valid_after_utc)
            )
        return found


def _name_of(server: x509.Certificate) -> str:
    """Returns what a server's certificate is called: its common name, else its first other name."""
    if common := server.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        return str(common[0].value)
    others = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(next(iter(others)).value)
