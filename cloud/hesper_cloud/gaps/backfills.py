"""Gaps that a meter can be asked about again turn into backfills, and backfills into an end.

A backfill is a request to the authority, then a signed command ``read.profile``, then rows among
the readings. It is settled by what the gateway signed and by what is stored: once every row that
the gateway says it read is in the store, captures that are still missing do not exist in the meter.
Whatever fails is tried again, later each time.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Backfill, Gap, Request
from hesper_cloud.gaps import findings
from hesper_cloud.gaps.asking import ACTIVE, Asking
from hesper_cloud.gaps.causes import REPORTS_NONE
from hesper_cloud.gaps.runs import Grid
from hesper_cloud.job_settings import BackfillSettings
from hesper_cloud.stores.port import Integers, ReadingStore

_REQUEST_PATIENCE = timedelta(seconds=60)
_ARRIVAL_PATIENCE = timedelta(hours=1)
_ENDED = frozenset({"failed", "rejected", "expired", "cancelled"})


class Backfills:
    """Asks and settles; `turn` is called after each `GapLedger.check`, from its thread.

    Args:
        engines: Registry, and the authority's database, which is only read.
        store: Where readings are.
        settings: Limits and pauses.
        clock: Aware UTC.
    """

    def __init__(
        self,
        engines: tuple[Engine, Engine],
        store: ReadingStore,
        settings: BackfillSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._registry, self._authority = engines
        self._store = store
        self._settings = settings
        self._clock = clock
        self._asking = Asking(settings)
        self._looked_at: datetime | None = None

    def turn(self) -> None:
        """Settles what can be settled, gives up what is too old, asks for what may be asked."""
        now = self._clock()
        with reading(self._registry) as session:
            active = session.scalars(select(Backfill.id).where(Backfill.state.in_(ACTIVE))).all()
        for backfill_id in active:
            with writing(self._registry) as session:
                self._settle(session, session.get_one(Backfill, backfill_id), now)
        with writing(self._registry) as session:
            if self._looked_at is None or now < self._looked_at:
                self._asking.take_back(session, now)
            self._asking.give_up_old(session, now)
            if self._settings.enabled:
                self._asking.ask(session, now)
        self._looked_at = now

    def _settle(self, session: Session, backfill: Backfill, now: datetime) -> None:
        match backfill.state:
            case "asked":
                self._settle_request(session, backfill, now)
            case "sent":
                self._settle_command(session, backfill, now)
            case _:
                self._settle_rows(session, backfill, now)

    def _settle_request(self, session: Session, backfill: Backfill, now: datetime) -> None:
        request = session.get(Request, backfill.request_id)
        if request is None or request.state in {"refused", "withdrawn"}:
            outcome = (request.outcome if request else None) or {}
            self._failed(session, backfill, str(outcome.get("reason", "withdrawn")), now)
        elif request.state == "done":
            backfill.command_id = str((request.outcome or {}).get("command"))
            backfill.state = "sent"
        elif request.state == "new" and abs(now - request.created_at) > _REQUEST_PATIENCE:
            request.state = "withdrawn"
            self._failed(session, backfill, "the authority does not answer", now)

    def _settle_command(self, session: Session, backfill: Backfill, now: datetime) -> None:
        with reading(self._authority) as authority:
            command = authority.get(CommandRecord, backfill.command_id)
        if command is None:
            self._failed(session, backfill, "the authority does not know the command", now)
        elif command.state in _ENDED:
            self._failed(session, backfill, f"{command.state}: {command.detail or ''}", now)
        elif command.state == "confirmed":
            backfill.row_count = findings.row_count(session, command.gateway, command.id)
            backfill.state, backfill.settled_at = "read", now

    def _settle_rows(self, session: Session, backfill: Backfill, now: datetime) -> None:
        """Waits until all rows are stored; what is missing then is missing in the meter."""
        read_at = backfill.settled_at or now
        if abs(now - read_at) < timedelta(seconds=self._settings.settle_s):
            return
        start, end = int(backfill.from_at.timestamp()), int(backfill.to_at.timestamp())
        times = self._store.captured_times(backfill.meter, backfill.profile, start, end + 1)
        gaps = session.scalars(select(Gap).where(*_asked_by(backfill))).all()
        reason = _still_lacks(backfill, gaps, times)
        if reason is not None:
            if abs(now - read_at) > _ARRIVAL_PATIENCE:
                self._failed(session, backfill, reason, now)
            return
        for gap in gaps:
            session.add_all(_reports_none(gap, backfill, now))
        backfill.state = "done"

    def _failed(self, session: Session, backfill: Backfill, reason: str, now: datetime) -> None:
        backfill.state, backfill.reason, backfill.settled_at = "failed", reason, now
        for gap in session.scalars(select(Gap).where(*_asked_by(backfill))):
            gap.state, gap.tries, gap.reason = "open", gap.tries + 1, reason
            pause_s = self._settings.retry_s * 2 ** min(gap.tries - 1, 20)
            pause_s = min(pause_s, self._settings.retry_longest_s)
            gap.next_try_at = now + timedelta(seconds=pause_s)


def _asked_by(backfill: Backfill) -> tuple[ColumnElement[bool], ...]:
    return Gap.backfill_id == backfill.id, Gap.state == "requested"


def _still_lacks(backfill: Backfill, gaps: Sequence[Gap], times: Integers) -> str | None:
    """Returns what has to come before the gaps can be settled, if anything has."""
    if backfill.row_count is None or len(times) < backfill.row_count:
        return "what was read has not arrived"
    if any(not _grid(gap).missing(times).all() for gap in gaps):
        return "what arrived has closed no gap"
    return None


def _grid(gap: Gap) -> Grid:
    first, last = int(gap.from_at.timestamp()), int(gap.to_at.timestamp())
    return Grid.of_run(first, last, gap.expected_count)


def _reports_none(gap: Gap, backfill: Backfill, now: datetime) -> list[Gap]:
    """Gives a gap up with proof; returns what has become of it beyond what was asked for."""
    period = timedelta(seconds=_grid(gap).period_s)
    beyond: list[Gap] = []
    if gap.to_at > backfill.to_at:
        inside = (backfill.to_at - gap.from_at) // period + 1
        rest = Gap(meter=gap.meter, profile=gap.profile, cause=gap.cause, state="open", tries=0)
        rest.from_at, rest.to_at = gap.from_at + inside * period, gap.to_at
        rest.expected_count, rest.noticed_at = gap.expected_count - inside, gap.noticed_at
        gap.to_at, gap.expected_count = rest.from_at - period, inside
        beyond.append(rest)
    gap.state, gap.closed_at, gap.cause = "given_up", now, REPORTS_NONE
    gap.reason = "the meter was asked and reports no such captures"
    gap.proof = {
        "backfill": backfill.id,
        "command": backfill.command_id,
        "rows_reported": backfill.row_count,
    }
    return beyond
