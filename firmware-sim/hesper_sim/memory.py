"""Waking up: a district is born, or rebuilt from what its journal remembers.

While the process was dead the meters were without power: nothing was latched, and the event logs
say when power went and when it came back. The load went on behind the meters, so registers continue
where the load curves stand. Faults do not survive, a disconnected home stays disconnected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hesper_dlms import obis
from hesper_dlms.classes.control import ControlState

from hesper_sim import recall
from hesper_sim.district import PROFILE_COLUMNS, Clock, District
from hesper_sim.errors import JournalError
from hesper_sim.event_codes import EventCode
from hesper_sim.fleet import Fleet
from hesper_sim.history import History
from hesper_sim.journal import Journal, Record
from hesper_sim.load import Energy
from hesper_sim.meter import Flow

JOURNAL_NAME = "journal.jsonl"
_DAY_S = 86_400
_COLUMNS = tuple(obis.text(name) for name in PROFILE_COLUMNS)


def wake(
    fleet: Fleet, state: Path, capture_period_s: int, history_days: int, clock: Clock
) -> District:
    """Return the district whose journal is in the folder `state`; a first start begins one.

    Raises:
        JournalError: The journal is damaged, or belongs to another fleet or capture period.
    """
    state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        journal = Journal(state / JOURNAL_NAME)
        stack.callback(journal.close)
        records = journal.read()
        birth = next(records, None)
        if birth is None:
            birth = _birth(fleet, capture_period_s, history_days * _DAY_S, int(clock()))
            journal.append([birth])
            district = District(fleet, _history(birth), journal, clock)
        else:
            _check(birth, fleet, capture_period_s)
            district = District(fleet, _history(birth), journal, clock)
            _remember(district, birth["at"], records)
        stack.pop_all()
        return district


def _birth(fleet: Fleet, capture_period_s: int, span_s: int, at: int) -> Record:
    return {
        "k": "born",
        "at": at,
        "seed": fleet.settings.seed,
        "capture_period_s": capture_period_s,
        "history_s": span_s,
    }


def _history(birth: Record) -> History:
    return History(birth["at"], birth["capture_period_s"], birth["history_s"])


def _check(birth: Record, fleet: Fleet, capture_period_s: int) -> None:
    if birth["k"] != "born":
        raise JournalError("the journal does not begin with the birth of a fleet")
    for name, wanted in (("seed", fleet.settings.seed), ("capture_period_s", capture_period_s)):
        if birth[name] != wanted:
            raise JournalError(f"the journal was begun with {name} {birth[name]}, not {wanted}")


def _remember(district: District, born_at: int, records: Iterator[Record]) -> None:
    last_at = max((_replay(district, record) for record in records), default=born_at)
    _end_outage(district, max(last_at, born_at))


def _replay(district: District, record: Record) -> int:
    """Take one record in; returns its time in epoch seconds."""
    kind = record["k"]
    if kind == "push":
        return int(record["sent_at"])
    meter = district.meters.get(record["meter"])
    if meter is None:
        raise JournalError(f"the journal knows meter {record['meter']}, the fleet does not")
    if kind == "latch":
        values: dict[str, Any] = record["values"]
        meter.profile.append(record["captured_at"], tuple(values[name] for name in _COLUMNS))
        return int(record["captured_at"])
    if kind == "counter":
        meter.counter_reserved = record["reserved"]
        return 0
    at = int(record["at"])
    if kind == "event":
        meter.events.append(at, (record["code"],))
        meter.event_code = record["code"]
    elif kind == "flow":
        meter.restore_flow(Flow(record["flow"]), at, Energy(*record["joules"]))
    elif kind == "relay":
        meter.output = record["output"]
        meter.control = ControlState(record.get("control", meter.control))
        meter.invocations = record["invocation"]
        return at // 1000
    elif kind in recall.KINDS:
        recall.KINDS[kind](district, meter, record)
    else:
        raise JournalError(f"the journal holds a record of the unknown kind {kind!r}")
    return at


def _end_outage(district: District, last_at: int) -> None:
    for meter in district.meters.values():
        if meter.flow is Flow.REVERSED or (meter.flow is Flow.CUT and meter.output):
            district.recount(meter)
    meters = district.meters.values()
    district.log_event(meters, EventCode.POWER_DOWN, last_at)
    district.log_event(meters, EventCode.POWER_UP)
