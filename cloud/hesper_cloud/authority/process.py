"""The authority as a process: one loop that looks every few milliseconds whether to take a turn.

``PRAGMA data_version`` says in microseconds whether another process has committed to the registry;
a turn is taken then, and at a slow beat because time alone expires commands and frees budgets. A
turn costs the same twenty questions whether it settles one result or a hundred, so while a batch is
under way what it took of a processor is let pass after it, for more results to come. Whoever asks
for something ends that at once: neither a kill switch nor a single command waits for it.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import NamedTuple

from hesper_contracts.signing import Signer
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from hesper_cloud import keys
from hesper_cloud.audit.checkpoints import Checkpoints
from hesper_cloud.authority.broker_accounts import BrokerAccounts
from hesper_cloud.authority.core import Authority
from hesper_cloud.authority.enrolment import Certificates, EnrolmentDesk
from hesper_cloud.authority.evictions import Evictions
from hesper_cloud.authority.firmware import FirmwareDesk
from hesper_cloud.authority.outsiders import Outsiders
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations
from hesper_cloud.authority.uplink import AuthorityUplink
from hesper_cloud.ca import custody
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import leave_readable, open_engine
from hesper_cloud.db.sole import sole
from hesper_cloud.db.watch import Watch
from hesper_cloud.hsm import SigningUnavailable
from hesper_cloud.images.shelf import shelf_of
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.observing.tracing import tracer_of
from hesper_cloud.putting_off import PuttingOff
from hesper_cloud.settings import Settings
from hesper_cloud.vault import Vault

_log = logging.getLogger(__name__)
_TURN = "the authority's turn"
_IDLE_TURN_S = 1.0
_WAITING_TURN_S = 0.05
_MOST_PAUSE_S = 0.25


def run(settings: Settings, stop: threading.Event, check: Callable[[Engine, Vault], None]) -> None:
    """Runs the authority until ``stop`` is set; ends with the error when it cannot decide.

    That is also when the registry is of another version: the head end brings that up to date; and
    when another authority works on the same database, or may by now (`sole`).

    ``check`` is asked first whether the vault opens what its database keeps.
    """
    signer = keys.authority_signer(settings)
    uplink = AuthorityUplink(settings.broker, settings.authority.instance, signer, now_utc)
    with ExitStack() as stack:
        engines = (
            open_engine(settings.database.url),
            open_engine(settings.database.authority_url),
        )
        stack.callback(engines[0].dispose)
        stack.callback(leave_readable, engines[1])
        stack.enter_context(sole(engines[1], "authority"))
        migrate.upgrade(engines[1], "authority")
        migrate.require(engines[0], "registry")
        vault = keys.vault(settings.keys)
        check(engines[1], vault)
        watch = stack.enter_context(closing(Watch(settings.database.url)))
        opener = keys.request_opener(settings.keys)
        enrolment = EnrolmentDesk(
            signer,
            vault,
            BrokerAccounts(settings.enrolment),
            _certificates(settings, signer, uplink),
        )
        authority = Authority(engines, signer, opener, uplink, now_utc, enrolment)
        authority.release(FirmwareDesk(shelf_of(settings)))
        if settings.oidc is not None:
            authority.admit(Outsiders(settings.oidc))
        tracer = tracer_of(settings.tracing, "authority")
        if tracer is not None:
            stack.callback(tracer.close)
            uplink.traces = CommandTraces(tracer)
            authority.follow(uplink.traces)
        uplink.start()
        stack.callback(uplink.stop)
        every_s = settings.authority.checkpoint_every_s
        authority.checkpoints = Checkpoints(engines[1], signer, uplink, every_s)
        stack.callback(lambda: _last_checkpoint(authority.checkpoints))
        _log.info("the authority decides; command key %s", signer.key_id)
        loop(authority, watch, settings.authority.poll_ms / 1000, stop)


def _certificates(settings: Settings, signer: Signer, uplink: AuthorityUplink) -> Certificates:
    issuing = Issuing(
        custody.load(settings.keys), custody.load_chain(settings.keys), settings.certificates
    )
    renewals = RenewalDesk(issuing, signer, uplink.answer)
    uplink.on_renewal = renewals.take
    evictions = Evictions(settings.broker)
    return Certificates(
        issuing, renewals, Revocations(issuing, settings.enrolment.reload, evictions)
    )


def _last_checkpoint(checkpoints: Checkpoints | None) -> None:
    try:
        if checkpoints is not None:
            checkpoints.close(now_utc())
    except (OperationalError, SigningUnavailable) as error:
        _log.warning("no last checkpoint of the audit log: %s", error)


def loop(authority: Authority, watch: Watch, poll_s: float, stop: threading.Event) -> None:
    """Takes a turn on every change and at a slow beat, until ``stop`` is set."""
    putting_off = PuttingOff()
    next_turn = rest_until = 0.0
    changed = False
    while not stop.wait(poll_s):
        news, now = watch.changed(), time.monotonic()
        changed |= news
        if now < rest_until and not (news and _is_asked(authority)):
            continue
        if changed or now >= next_turn:
            changed = False
            pace = _turn(authority, putting_off)
            next_turn, rest_until = now + pace.due_s, time.monotonic() + pace.rest_s


class _Pace(NamedTuple):
    """In how many seconds the next turn is due, and for how long none is taken unasked."""

    due_s: float
    rest_s: float = 0.0


def _turn(authority: Authority, putting_off: PuttingOff) -> _Pace:
    """Takes a turn and returns when the next shall be.

    A database that is locked or out of room has taken nothing of the transaction at hand, so the
    same work is found again at the next turn.
    """
    spent_s = time.thread_time()
    try:
        authority.turn()
        putting_off.over(_TURN)
        if authority.has_moving_batches():
            return _Pace(_WAITING_TURN_S, min(time.thread_time() - spent_s, _MOST_PAUSE_S))
        if authority.is_waiting():
            return _Pace(_WAITING_TURN_S)
        return _Pace(_IDLE_TURN_S, 0.0 if authority.awaits_results() else _MOST_PAUSE_S)
    except OperationalError as error:
        putting_off.because(_TURN, error.orig or error)
        return _Pace(_IDLE_TURN_S)
    except SigningUnavailable as reason:
        putting_off.because(f"nothing can be signed: {_TURN}", reason, logging.ERROR)
        return _Pace(_IDLE_TURN_S)


def _is_asked(authority: Authority) -> bool:
    try:
        return authority.is_asked()
    except OperationalError as error:
        _log.warning("nobody heard for a moment: %s", error.orig)
        return False


def now_utc() -> datetime:
    """Returns the machine's clock, aware UTC."""
    return datetime.now(UTC)
