"""What a fleet has done, read from outside: the truth that a store is held against.

The journal names everything that was latched, replayed or moved since the fleet was born. What its
meters hold from before, their history, is computed; both come in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hesper_sim import journal
from hesper_sim.district import District, latch_record
from hesper_sim.fleet import Fleet
from hesper_sim.history import History
from hesper_sim.journal import Forgetful, Record
from hesper_sim.memory import JOURNAL_NAME


def records(state: Path, *kinds: str) -> Iterator[Record]:
    """Yield the journal's records of these kinds, in order; a running fleet may go on writing."""
    return (record for record in journal.read(state / JOURNAL_NAME) if record["k"] in kinds)


def history(fleet: Fleet, state: Path) -> Iterator[Record]:
    """Yield the rows that the meters held when the fleet was born, as `latch` records."""
    birth = next(records(state, "born"))
    past = History(birth["at"], birth["capture_period_s"], birth["history_s"])
    district = District(fleet, past, Forgetful(), lambda: birth["at"])
    for meter in district.meters.values():
        for row in past.rows(meter, 0, birth["at"]):
            yield latch_record(meter, row.captured_at, row.values)
