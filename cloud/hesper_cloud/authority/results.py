"""Takes results that ingest stored.

A result counts when its signature holds under the key that this authority has on record for the
gateway whose topic it came on, and when it speaks of a command that was sent to that gateway for
that meter. "Confirmed" also needs what `evidence` asks of the kind. Everything else is marked
unverified and audited, and changes nothing.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import msgspec
from hesper_contracts import results
from hesper_contracts.frame import Refused
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring
from sqlalchemy import ColumnElement, Engine, select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority import evidence, facts, life, reconciling, together
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import ACTIVATE, ARM, READ, READING, RECONNECT
from hesper_cloud.authority.malformed import MALFORMED
from hesper_cloud.authority.refusals import Refusals
from hesper_cloud.authority.showing import plain, show
from hesper_cloud.db.authority import CommandRecord, Cursor
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Result
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.worded import later, worded

_log = logging.getLogger(__name__)
_CURSOR = "results"
_AT_ONCE = 500

Heed = Callable[[Session, CommandRecord, CommandResult, datetime], None]
"""Draws further conclusions from a result that is believed, in the same transaction."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    id: int
    command_id: str  # as ingest noted it: good enough to look ahead with
    gateway: str
    payload: bytes
    received_at: datetime


_Verdicts = dict[int, CommandResult | None]
"""By row the result that is to be believed, or None."""


class ResultDesk:
    """Reads new rows of ``results`` in order, each exactly once."""

    def __init__(
        self, registry: Engine, authority: Engine, give_way: GiveWay, heed: Heed | None = None
    ) -> None:
        """Takes the databases, and who else heeds results that are believed."""
        self._registry = registry
        self._authority = authority
        self._give_way = give_way
        self._heed = heed
        self._refusals = Refusals()
        self.traces = CommandTraces(None)
        self._may_be_unmarked = True  # a kill comes between two databases, too

    def take_new(self, now: datetime) -> int:
        """Takes what is new; returns how many rows."""
        while self._may_be_unmarked:
            self._mark_again(now)
        arrived = self._new_rows()
        if not arrived:
            return 0
        self._may_be_unmarked = True
        try:
            verdicts = self._judged(arrived, now)
        except MALFORMED:
            verdicts = {}
            for row in arrived:
                verdicts |= self._judged_alone(row, now)
        self._mark(verdicts, now)
        self._may_be_unmarked = False
        for result in verdicts.values():
            if result is not None:
                self.traces.settled(result.command_id, result.state, int(now.timestamp() * 1e9))
        return len(verdicts)

    def _mark_again(self, now: datetime) -> None:
        """Marks rows that were settled when their marks were lost; nothing is settled by it."""
        with reading(self._authority) as session:
            position = session.scalar(select(Cursor.position).where(Cursor.name == _CURSOR)) or 0
        rows = self._rows(Result.id <= position, Result.verified.is_(None))
        if rows:
            self._mark({row.id: self._believed(row) for row in rows}, now)
        self._may_be_unmarked = len(rows) == _AT_ONCE

    def _believed(self, row: _Arrived) -> CommandResult | None:
        try:
            with reading(self._authority) as session:
                result = _verified(session, row)
                return _as_of_now(session, _subject(session, result), result)
        except (Refused, *MALFORMED):
            return None

    def _judged(self, arrived: Sequence[_Arrived], now: datetime) -> _Verdicts:
        """Judges rows in one transaction."""
        with writing(self._authority) as session:
            known = together.commands(session, [row.command_id for row in arrived])
            held = together.around(session, list(known.values()))
            verdicts = {row.id: self._taken(session, row, now) for row in arrived}
            _cursor(session).position = arrived[-1].id
            del known, held
        return verdicts

    def _judged_alone(self, row: _Arrived, now: datetime) -> _Verdicts:
        """Judges one of many, among which one provoked what nobody foresaw: that one is refused."""
        try:
            return self._judged([row], now)
        except MALFORMED as error:
            _log.error("result %d cannot be judged: %s", row.id, type(error).__name__)
        with writing(self._authority) as session:
            self._refuse(session, row, "it cannot be judged as it is", now)
            _cursor(session).position = row.id
        return {row.id: None}

    def _taken(self, session: Session, row: _Arrived, now: datetime) -> CommandResult | None:
        """Judges one row; returns the result when it is to be believed."""
        try:
            result = _verified(session, row)
            command = _subject(session, result)
        except Refused as refusal:
            self._refuse(session, row, str(refusal), now)
            return None
        _take(session, command, result, now, self._heed)
        return _as_of_now(session, command, result)

    def _refuse(self, session: Session, row: _Arrived, why: str, now: datetime) -> None:
        self._refusals.note(session, row.gateway, row.id, why, now)

    def reconcile(self, now: datetime) -> None:
        """Settles unknown commands by a relay reading taken after their last moment.

        Raises:
            GivesWay: the kill switch waits; what is settled by then is.
        """
        reconciling.by_readings(self._registry, self._authority, self._give_way, now)

    def _new_rows(self) -> list[_Arrived]:
        with reading(self._authority) as session:
            position = session.scalar(select(Cursor.position).where(Cursor.name == _CURSOR)) or 0
        return self._rows(Result.id > position)

    def _rows(self, *wanted: ColumnElement[bool]) -> list[_Arrived]:
        columns = (Result.id, Result.command_id, Result.gateway, Result.payload, Result.received_at)
        query = select(*columns).where(*wanted).order_by(Result.id).limit(_AT_ONCE)
        with reading(self._registry) as session:
            return [_Arrived(*row) for row in session.execute(query)]

    def _mark(self, verdicts: dict[int, CommandResult | None], now: datetime) -> None:
        """Marks the rows, and shows proven relay states and firmware in the registry."""
        believed = {row_id: result is not None for row_id, result in verdicts.items()}
        shown = [result for result in verdicts.values() if result is not None]
        with writing(self._registry) as session:
            for verified in (True, False):
                if rows := [row_id for row_id, is_so in believed.items() if is_so is verified]:
                    told = update(Result).where(Result.id.in_(rows)).values(verified=verified)
                    session.execute(told, execution_options={"synchronize_session": False})
            show(session, shown, now)


def _take(
    session: Session,
    command: CommandRecord,
    result: CommandResult,
    now: datetime,
    heed: Heed | None,
) -> None:
    """Draws the conclusions from what a gateway told of a command."""
    reconciling.by_result(session, command, result, now)
    if heed is not None:
        heed(session, command, result, now)
    state, why = _meaning(command, result)
    if life.may_move(command, state):
        after = result.relay_after.output if result.relay_after else command.relay_after
        before = result.relay_before.output if result.relay_before else command.relay_before
        step = life.Move(state, f"gateway {result.gateway}", why)
        found = evidence.kept(result) or command.findings
        life.move(
            session, command, step, now, relay_before=before, relay_after=after, findings=found
        )


def _verified(session: Session, row: _Arrived) -> CommandResult:
    key = facts.gateway_key(session, row.gateway)
    if key is None:
        raise Refused(f"gateway {row.gateway} has no public key on record")
    return results.from_payload(row.payload, _keyring(key), row.gateway)


@lru_cache(maxsize=_AT_ONCE)
def _keyring(public_key: bytes) -> Keyring:
    return Keyring.of(public_key)


def _subject(session: Session, result: CommandResult) -> CommandRecord:
    command = session.get(CommandRecord, result.command_id)
    if command is None:
        raise Refused(f"there is no command {result.command_id[:64]!r}")
    if (command.gateway, command.meter) != (result.gateway, result.meter):
        raise Refused(f"command {command.id} was for {command.meter} behind {command.gateway}")
    if command.sent_at is None:
        raise Refused(f"command {command.id} was never sent")
    return command


def _as_of_now(session: Session, command: CommandRecord, result: CommandResult) -> CommandResult:
    """Returns a result without the firmware that a later activation has replaced.

    It may be one of long ago, which came again in a new epoch of its gateway's outbox.
    """
    replaced = select(CommandRecord.id).where(
        CommandRecord.meter == command.meter,
        CommandRecord.kind == ACTIVATE,
        CommandRecord.state == "confirmed",
        CommandRecord.sent_at > command.sent_at,
    )
    if command.kind != ACTIVATE or session.scalar(replaced.limit(1)) is None:
        return result
    return msgspec.structs.replace(result, findings=msgspec.UNSET)


def _meaning(command: CommandRecord, result: CommandResult) -> tuple[str, str]:
    """Returns the state that a result leads to, and the words for it."""
    if result.state != "confirmed":
        return result.state, plain(result.detail)
    only_read = command.kind in READING - {READ}
    lacking = evidence.lacking(command, result)
    if lacking:
        return "failed" if only_read else "unknown", worded(
            "the gateway says done but {lacking}", lacking=lacking
        )
    seen = result.relay_after
    if command.kind in (RECONNECT, ARM) and seen is not None and not seen.output:
        return "confirmed", later("ready for reconnection: a person must press the meter's button")
    done = later("read") if only_read else later("read back")
    return "confirmed", plain(result.detail) or done


def _cursor(session: Session) -> Cursor:
    row = session.get(Cursor, _CURSOR)
    if row is None:
        row = Cursor(name=_CURSOR, position=0)
        session.add(row)
    return row
