"""Who is shut out is out within seconds: the list of ended certificates, and live sessions.

Theory of operation. A revocation commits its audit rows, the ended certificates, and that the list
is stale. A later turn signs a new list, writes it to the broker's `crlfile` and tells the broker to
read its files: from then on nobody comes in with an ended certificate. Measured: Mosquitto 2.0.11
reads the list anew on SIGHUP, but looks at nobody who is in already, and somebody may have shaken
hands before and not said who they are yet. So the authority comes under the shut-out gateway's
client identifier itself, which ends that session (MQTT 5, 3.1.4), at once and again for as long as
the broker lets anybody hold a connection without a CONNECT, counted from when it has the list: who
was revoked while authority or broker stood still is ended then. The listener for gateways makes the
certificate's name the client identifier (`use_username_as_clientid`), so there is no other session.

A list is signed anew every day as well, for brokers do not believe lists beyond their time, and at
once when the clock turns out to have been ahead, for they believe none that is of the future. What
the broker's present list names stays named: a database that was put back has forgotten it.
"""

import logging
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import broker_files
from hesper_cloud.ca import custody, issuing
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.ca.profile import CertificateRefused, Revoked
from hesper_cloud.db.authority import Certificate, RevocationList, ShutOut
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.worded import worded

_log = logging.getLogger(__name__)
RULE = "revocation-list"
"""Of the alert while a broker has not got the list."""
_ANEW = timedelta(days=1)
SHUT_OUT_FOR, REPLACED_FOR = timedelta(seconds=150), timedelta(seconds=15)
"""Mosquitto waits 90 s for a CONNECT; a device that replaces another must not be disturbed long."""
EVICT_EVERY_S, _RELOAD_AGAIN_S = 3.0, 60.0
_ONLY = 1

Evict = Callable[[list[str]], None]
"""Ends the sessions of gateways; returns at once."""


class Revocations:
    """Keeps the broker's list right and ends the sessions of who is shut out."""

    def __init__(self, issuing: Issuing, reload: tuple[str, ...], evict: Evict) -> None:
        self._issuing = issuing
        self._reload = broker_files.Reload(reload)
        self._telling = 0
        self._evict = evict
        self._not_before = self._evicted_at = -_RELOAD_AGAIN_S
        self._all_until = -_RELOAD_AGAIN_S
        self.problem: str | None = None
        """What is amiss while the broker has not got the present list."""

    def settle(self, authority: Engine, now: datetime) -> None:
        """Does what is due: a new list, telling the broker, ending sessions."""
        self._write_list(authority, now)
        if time.monotonic() - self._evicted_at >= EVICT_EVERY_S:
            self._evicted_at = time.monotonic()
            with reading(authority) as session:
                names = to_evict(session, now, every=time.monotonic() < self._all_until)
            if names:
                self._evict(names)

    def _write_list(self, authority: Engine, now: datetime) -> None:
        file = self._issuing.settings.list_file
        if self._issuing.issuer is None or time.monotonic() < self._not_before:
            return
        with reading(authority) as session:
            row = session.get(RevocationList, _ONLY)
            if not _is_due(row, now) and (file is None or (row and row.is_written)):
                return
        try:
            if not self._reload.is_under_way:
                self._begin(authority, file, now)
            if file is None or not self._reload.is_over():
                return
        except (OSError, subprocess.SubprocessError) as error:
            self._not_before = time.monotonic() + EVICT_EVERY_S
            self._is_amiss(error)
            return
        self.problem = None
        with writing(authority) as session:
            row = session.get_one(RevocationList, _ONLY)
            row.is_written = row.number == self._telling
        _log.info("the broker has revocation list %d", self._telling)

    def _begin(self, authority: Engine, file: Path | None, now: datetime) -> None:
        with writing(authority) as session:
            row = current_list(session, self._issuing, now)
            octets, self._telling = row.octets, row.number
        if file is not None:
            self._all_until = time.monotonic() + _RELOAD_AGAIN_S + SHUT_OUT_FOR.total_seconds()
            broker_files.replace(file, octets)
            self._reload.begin()

    def _is_amiss(self, error: Exception) -> None:
        if self.problem is None:
            _log.error("the broker has not got the revocation list: %s; trying again", error)
        self.problem = worded(
            "The broker has not got the revocation list: who was revoked may come in with a "
            "certificate that has ended. The last try: {error}.",
            error=error,
        )


def current_list(session: Session, issuing_: Issuing, now: datetime) -> RevocationList:
    """Returns the list, signed anew where it is stale or a day old.

    Raises:
        CertificateRefused: there is no authority of our own.
    """
    row = session.get(RevocationList, _ONLY)
    if row is not None and not _is_due(row, now):
        return row
    if issuing_.issuer is None:
        raise CertificateRefused("there is no authority here that could sign a list")
    named = {each.serial: each for each in issuing.revoked(session, now)}
    told, known = _told(issuing_)
    named |= {each.serial: each for each in issuing.not_over(session, known, now)}
    number = max(row.number if row else 0, told) + 1
    made = issuing_.issuer.revocation_list(named.values(), number, now)
    new = RevocationList(
        id=_ONLY,
        number=number,
        made_at=now,
        is_stale=False,
        is_written=False,
        octets=custody.list_pem(made),
    )
    return session.merge(new)


def _is_due(row: RevocationList | None, now: datetime) -> bool:
    return row is None or row.is_stale or not row.made_at <= now < row.made_at + _ANEW


def _told(issuing_: Issuing) -> tuple[int, list[Revoked]]:
    """Returns number and lines of the list that the broker has, if it is one of ours."""
    file, issuer = issuing_.settings.list_file, issuing_.issuer
    if file is None or issuer is None:
        return 0, []
    try:
        return custody.read_list(file.read_bytes(), issuer)
    except (OSError, CertificateRefused):
        return 0, []


def to_evict(session: Session, now: datetime, *, every: bool = False) -> list[str]:
    """Returns whose sessions end now: shut out, or replaced by another device, a moment ago.

    With ``every``, whoever the list names and nobody has signed for since, however long ago.
    """
    of_gateways = Certificate.kind == issuing.GATEWAY
    good = Certificate.revoked_at.is_(None) & (Certificate.not_after > now)
    lately = Certificate.revoked_at.between(now - SHUT_OUT_FOR, now)
    listed = Certificate.revoked_at.is_not(None) & (Certificate.not_after > now)
    may_come = select(Certificate.name).where(of_gateways & good)
    ended = select(Certificate.name).where(of_gateways)
    queries = (
        select(ShutOut.gateway).where(ShutOut.at.between(now - SHUT_OUT_FOR, now)),
        ended.where(Certificate.revoked_at.between(now - REPLACED_FOR, now)),
        ended.where(listed if every else lately, Certificate.name.not_in(may_come)),
    )
    return sorted({name for query in queries for name in session.scalars(query)})
