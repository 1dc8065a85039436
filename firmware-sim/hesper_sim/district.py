"""The living fleet: meters over shared models, with a journal under them.

Everything that a meter must not forget passes through here, is journalled first and takes effect
afterwards: a row can be read, a relay is acknowledged, an event is logged only when it is on the
disk. All of it is synchronous and without IO but the journal's; sockets and timers are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from hesper_dlms import obis

from hesper_sim.errors import FleetError
from hesper_sim.event_codes import EventCode
from hesper_sim.faults import DRIFT_S, SAG_PERMILLE, Fault
from hesper_sim.fleet import Fleet
from hesper_sim.grid import Feeder
from hesper_sim.history import History
from hesper_sim.journal import Record, Recorder
from hesper_sim.load import LoadModel
from hesper_sim.meter import Control, Flow, Meter

PROFILE_COLUMNS: Final = (
    obis.ACTIVE_ENERGY_IMPORT,
    obis.ACTIVE_ENERGY_EXPORT,
    obis.REACTIVE_ENERGY_IMPORT,
    obis.APPARENT_ENERGY_IMPORT,
    obis.VOLTAGE_L1,
    obis.VOLTAGE_L2,
    obis.VOLTAGE_L3,
    obis.ACTIVE_POWER_IMPORT,
)
"""The capture objects of the load profile behind its clock; `Meter.capture` keeps this order."""
_COLUMN_NAMES: Final = tuple(obis.text(name) for name in PROFILE_COLUMNS)
_PROFILE_NAME: Final = obis.text(obis.LOAD_PROFILE_1)

Clock = Callable[[], float]
"""Returns the true time in epoch seconds."""


class District:
    """All the meters of a fleet and what happens to them."""

    def __init__(self, fleet: Fleet, history: History, journal: Recorder, clock: Clock) -> None:
        self.fleet = fleet
        self.history = history
        self.clock = clock
        self.latching = True
        self.latched_rows = 0
        self._journal = journal
        model = LoadModel(fleet.settings.seed)
        feeders: dict[int, Feeder] = {}
        self.meters = {
            plan.serial: Meter(
                plan,
                model.curve(plan.kind, plan.index),
                feeders.setdefault(plan.feeder, Feeder()),
                history.depth,
            )
            for plan in fleet.meters
        }

    def now(self) -> int:
        """Return the true time, epoch seconds."""
        return int(self.clock())

    def meter(self, serial: str) -> Meter:
        """Return a meter; FleetError when there is none of this serial number."""
        try:
            return self.meters[serial]
        except KeyError:
            raise FleetError(f"there is no meter {serial!r} in this fleet") from None

    def latch(self, instants: Iterable[int]) -> int:
        """Latch every meter at each of these instants with one fsync; returns the rows latched."""
        if not self.latching:
            return 0
        captured = [
            (meter, at, meter.capture(at)) for at in instants for meter in self.meters.values()
        ]
        self._journal.append(latch_record(meter, at, row) for meter, at, row in captured)
        for meter, at, row in captured:
            meter.profile.append(at, row)
        self.latched_rows += len(captured)
        return len(captured)

    def log_event(self, meters: Iterable[Meter], code: EventCode, at: int | None = None) -> None:
        """Write one row into the event log of each of these meters."""
        moment = self.now() if at is None else at
        chosen = list(meters)
        self._journal.append(_event_record(meter, moment, code) for meter in chosen)
        for meter in chosen:
            meter.events.append(moment, (code,))
            meter.event_code = code

    def move_relay(self, meter: Meter, connect: bool, cause: str = "remote") -> bool:
        """Move the relay as class 70 does; returns whether the meter acknowledges it.

        A welded relay acknowledges and stays; a rejected one says so and stays. Every attempt is
        journalled and counted, also one that changes nothing.
        """
        rejected = Fault.RELAY_REJECTED in meter.faults
        welded = Fault.RELAY_WELDED in meter.faults
        at = self.clock()
        output = meter.output if rejected or welded else connect
        result = "rejected" if rejected else "welded" if welded else "moved"
        record = _relay_record(meter, int(at * 1000), output, cause, result)
        if not rejected:
            record["control"] = int(Control.CONNECTED if connect else Control.DISCONNECTED)
        self._journal.append([record, *self._flow_records(meter, int(at), output)])
        meter.invocations += 1
        if rejected:
            self.log_event([meter], EventCode.DISCONNECTOR_FAILURE)
            return False
        meter.output = output
        meter.control = Control.CONNECTED if connect else Control.DISCONNECTED
        self._settle_flow(meter, int(at))
        code = EventCode.REMOTE_CONNECTION if connect else EventCode.REMOTE_DISCONNECTION
        self.log_event([meter], code)
        return True

    def set_clock(self, meter: Meter, drift_s: int) -> None:
        """Set how far a meter's clock is ahead of true time; the event log says so."""
        self.log_event([meter], EventCode.CLOCK_ADJUSTED_OLD)
        meter.drift_s = drift_s
        self.log_event([meter], EventCode.CLOCK_ADJUSTED_NEW)

    def begin(self, meter: Meter, fault: Fault) -> None:
        """Let a fault begin; one that is there already goes on."""
        if fault in meter.faults:
            return
        meter.faults |= {fault}
        now = self.now()
        if fault is Fault.VOLTAGE_SAG:
            meter.sag_permille, meter.sag_from = SAG_PERMILLE, now
            self.log_event([meter], EventCode.VOLTAGE_SAG_L1)
        elif fault is Fault.COVER_OPENED:
            self.log_event([meter], EventCode.METER_COVER_OPENED)
        elif fault is Fault.REVERSE_ENERGY:
            self.recount(meter)
            self.log_event([meter], EventCode.CURRENT_REVERSAL)
        elif fault is Fault.CLOCK_DRIFT:
            meter.drift_s = DRIFT_S

    def end(self, meter: Meter, fault: Fault) -> None:
        """Let a fault end; one that is not there is ignored."""
        if fault not in meter.faults:
            return
        meter.faults -= {fault}
        if fault is Fault.VOLTAGE_SAG:
            meter.sag_permille = 0
            self.log_event([meter], EventCode.VOLTAGE_NORMAL_L1)
        elif fault is Fault.COVER_OPENED:
            self.log_event([meter], EventCode.METER_COVER_CLOSED)
        elif fault is Fault.REVERSE_ENERGY:
            self.recount(meter)
        elif fault is Fault.CLOCK_DRIFT:
            meter.drift_s = 0

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def reserve_counters(self, meter: Meter, reserved: int) -> None:
        """Remember that invocation counters below `reserved` may have been used."""
        self._journal.append([{"k": "counter", "meter": meter.serial, "reserved": reserved}])
        meter.counter_reserved = reserved

    def record_push(self, record: Record) -> None:
        """Journal a replayed capture before it is sent."""
        self._journal.append([record])

    def recount(self, meter: Meter) -> None:
        """Count from now on as the meter's relay and faults say."""
        at = self.now()
        self._journal.append(self._flow_records(meter, at, meter.output))
        self._settle_flow(meter, at)

    def _flow_records(self, meter: Meter, at: int, output: bool) -> list[Record]:
        flow = _flow_of(meter, output)
        if flow is meter.flow:
            return []
        joules = list(meter.energy_j(at))
        return [{"k": "flow", "meter": meter.serial, "at": at, "flow": flow, "joules": joules}]

    def _settle_flow(self, meter: Meter, at: int) -> None:
        flow = _flow_of(meter, meter.output)
        if flow is not meter.flow:
            meter.count_as(flow, at)


def _flow_of(meter: Meter, output: bool) -> Flow:
    if not output:
        return Flow.CUT
    return Flow.REVERSED if Fault.REVERSE_ENERGY in meter.faults else Flow.NORMAL


def latch_record(meter: Meter, at: int, row: tuple[int, ...]) -> Record:
    """Return the journal record of one row of a load profile."""
    return {
        "k": "latch",
        "meter": meter.serial,
        "profile": _PROFILE_NAME,
        "captured_at": at,
        "status": 0,
        "values": dict(zip(_COLUMN_NAMES, row, strict=True)),
    }


def _event_record(meter: Meter, at: int, code: EventCode) -> Record:
    return {"k": "event", "meter": meter.serial, "at": at, "code": int(code)}


def _relay_record(meter: Meter, at_ms: int, output: bool, cause: str, result: str) -> Record:
    return {
        "k": "relay",
        "meter": meter.serial,
        "at": at_ms,
        "output": output,
        "cause": cause,
        "invocation": meter.invocations + 1,
        "result": result,
    }
