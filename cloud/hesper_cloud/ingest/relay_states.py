"""How relays stand, as gateways read them beside the registers, for the registry to show.

A state counts as confirmed at the time the gateway received it, and only from the gateway behind
which the meter is registered: what another one says of it neither takes the place of that nor makes
the meter a suspect (`hesper_cloud.rules.reconnected`). The authority writes the same columns from
signed results; the later reading wins, unless it is of a time that has not come: clocks were ahead.
"""

import logging
import threading
from typing import NamedTuple

import numpy as np
from hesper_contracts.quality import Quality
from sqlalchemy import Engine, case, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import CLOCK_TOLERANCE, Meter
from hesper_cloud.quantities import REGISTER_SNAPSHOT, RELAY
from hesper_cloud.rules import reconnected
from hesper_cloud.services.sources import instant
from hesper_cloud.stores.port import CommittedRows

log = logging.getLogger(__name__)


class _State(NamedTuple):
    gateway: str
    output: bool
    read_at: int  # epoch seconds
    stored_at: int


class RelayStates:
    """Follows committed rows; `flush` writes what changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def rows_committed(self, rows: CommittedRows) -> None:
        """Notes the newest relay state of each meter of a register snapshot."""
        block = rows.block
        names = [quantity.logical_name for quantity in block.quantities]
        if block.profile != REGISTER_SNAPSHOT or RELAY not in names:
            return
        place = names.index(RELAY)
        there = rows.accepted if block.missing is None else rows.accepted & ~block.missing[place]
        there = there & (block.quality & int(Quality.FOREIGN_GATEWAY) == 0)
        order = np.argsort(block.captured_at, kind="stable")
        now = rows.stored_at
        read_at = min(block.received_at, now)
        with self._lock:
            for row in order[there[order]]:
                meter = block.meters[block.meter_index[row]]
                state = _State(rows.gateway, bool(block.values[place, row]), read_at, now)
                if meter not in self._states or self._states[meter].read_at <= read_at:
                    self._states[meter] = state

    def flush(self) -> None:
        """Writes what is new; what the database does not take now is written later."""
        with self._lock:
            states, self._states = self._states, {}
        if not states:
            return
        try:
            with writing(self._engine) as session:
                closed = {m: instant(s.read_at) for m, s in states.items() if s.output}
                reconnected.suspect(session, closed)
                for meter, state in states.items():
                    _show(session, meter, state)
        except SQLAlchemyError as error:
            log.warning("relay states not written, again soon: %s", error)
            with self._lock:
                self._states = {**states, **self._states}


def _show(session: Session, meter: str, state: _State) -> None:
    read_at = instant(state.read_at)
    known_at, latest = Meter.relay_confirmed_at, instant(state.stored_at) + CLOCK_TOLERANCE
    older = or_(known_at.is_(None), known_at < read_at, known_at > latest)
    session.execute(
        update(Meter)
        .where(Meter.id == meter, Meter.gateway_id == state.gateway, older)
        .values(
            relay_output=state.output,
            relay_control=case((Meter.relay_output == state.output, Meter.relay_control)),
            relay_confirmed_at=read_at,
        )
    )
