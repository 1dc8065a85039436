"""Rules as data on what is committed: readings in columns, events one by one.

Theory of operation. `rows_committed` is called for each joined block, in the order of commits, by
the thread that tells of them. The rows bring along what was newest before them, so that late rows
can be told from new ones: a row captured before the newest known one of its meter belongs to
history, and so does one older than the rule counts. `event_stored` is called inside the transaction
that stores an event, by ingest's writer. Both use the rules as they
were when `refresh` last looked, on the registry's thread; a rule that was edited since writes
nothing, because `verdicts.write` compares versions in the transaction. What a rule remembers is in
the database; the marks in memory are a copy that follows each commit, and each minute what others
wrote: the work of every five minutes, and other consumers. So a restart changes nothing.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from hesper_contracts.events import Event
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.rules import book, levels, limits
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.book import Running
from hesper_cloud.rules.built_in import VoltageBand
from hesper_cloud.rules.definition import EventCount, EventSequence, Rate, Threshold
from hesper_cloud.rules.happenings import looked_at_again
from hesper_cloud.rules.levels import Change, Mark
from hesper_cloud.rules.spans import codes_of
from hesper_cloud.rules.verdicts import Finding, write
from hesper_cloud.rules.wording import plain
from hesper_cloud.stores.port import CommittedRows, Flags

log = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
SCOPES_EVERY_S = 60.0


class RuleEngine:
    """Follows committed rows and new events."""

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        clock: Callable[[], float] = time.time,
        tuned: Sequence[VoltageBand] = (),
    ) -> None:
        """Takes also what is brought up to date with the rules: thresholds of built-in ones."""
        self._engine = engine
        self._alerts = alerts
        self._clock = clock
        self._tuned = tuned
        self._of_readings: tuple[Running, ...] = ()
        self._of_events: Mapping[str, tuple[Running, ...]] = {}
        self._stamp: object = None
        self._looked_at = self._scoped_at = float("-inf")
        self.refresh(at_once=True)

    def refresh(self, *, at_once: bool = False) -> None:
        """Looks whether rules changed, if it is time; scopes are looked up anew each minute."""
        now = time.monotonic()
        if not at_once and now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        known = {rule.id: dict(rule.marks) for rule in self._of_readings}
        try:
            with reading(self._engine) as session:
                found = book.stamp(session)
                if found == self._stamp and now - self._scoped_at < SCOPES_EVERY_S:
                    return
                loaded = book.load(session, book.utc(self._now()))
                for each in self._tuned:
                    each.refresh(session)
        except SQLAlchemyError as error:
            log.warning("rules are not looked at now: %s", error)
            return
        self._take(loaded, known)
        self._stamp, self._scoped_at = found, now

    def _take(self, loaded: list[Running], known: Mapping[str, dict[str, Mark]]) -> None:
        before = {(rule.id, rule.version, rule.state): rule for rule in self._of_readings}
        by_code: dict[str, list[Running]] = defaultdict(list)
        for rule in loaded:
            same = before.get((rule.id, rule.version, rule.state))
            if same is not None:
                _follow(same.marks, known[rule.id], rule.marks)
                rule.marks = same.marks
            if isinstance(rule.definition.condition, EventCount | EventSequence):
                for code in codes_of(rule.definition.condition):
                    by_code[code].append(rule)
        self._of_readings = tuple(
            rule for rule in loaded if isinstance(rule.definition.condition, Threshold | Rate)
        )
        self._of_events = {code: tuple(rules) for code, rules in by_code.items()}

    def rows_committed(self, rows: CommittedRows) -> None:
        """Judges the new rows of a block by every rule of readings."""
        for rule in self._of_readings:
            condition = rule.definition.condition
            if not isinstance(condition, Threshold | Rate):
                continue
            for place in limits.places_of(condition, rows.block):
                counts = self._counting(rule, rows)
                seen = limits.seen(condition, rows.block, place, counts, rows.before)
                changes = levels.judged(rows.block, seen, rule.marks, condition.hold_s, rule.is_for)
                if changes:
                    unit = quantities.symbol(rows.block.quantities[place].unit)
                    self._write(rule, changes, {"limit": plain(condition.limit), "unit": unit})

    def _counting(self, rule: Running, rows: CommittedRows) -> Flags:
        """Returns the rows that are new, believable and of the present."""
        block = rows.block
        counts: Flags = rows.accepted & (block.quality & limits.UNBELIEVABLE == 0)
        counts &= block.captured_at >= int(self._clock()) - rule.definition.counts_for_s
        if rows.before is not None:
            counts &= block.captured_at > rows.before[0][block.meter_index]
        return counts

    def _write(self, rule: Running, changes: list[Change], facts: dict[str, object]) -> None:
        try:
            with writing(self._engine) as session:
                found = [Finding(change, facts) for change in changes]
                written = write(session, self._alerts, rule, found)
        except SQLAlchemyError as error:  # the next reading finds it again
            log.warning("rule %s could not write what it found: %s", rule.id, error)
            return
        for change in written:
            levels.keep(rule.marks, change)

    def event_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Looks again at every rule of events that an event of a meter concerns."""
        del gateway
        for rule in self._of_events.get(event.code, ()):
            if event.meter is not None and rule.is_for(event.meter):
                at = int(event.occurred_at.timestamp())
                looked_at_again(session, self._alerts, rule, event.meter, (at, self._now()))

    def _now(self) -> int:
        return int(self._clock())


def _follow(marks: dict[str, Mark], known: Mapping[str, Mark], stored: Mapping[str, Mark]) -> None:
    """Brings marks up to date with what is stored; what has changed since ``known`` is newer."""
    for meter in known.keys() | stored.keys():
        if marks.get(meter) != known.get(meter):
            continue
        if meter in stored:
            marks[meter] = stored[meter]
        else:
            marks.pop(meter, None)
