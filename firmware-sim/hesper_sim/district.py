"""The living fleet: meters over shared models, with a journal under them.

Everything that a meter must not forget passes through here, is journalled first and takes effect
afterwards: a row can be read, a relay is acknowledged, an event is logged only when it is on the
disk. All of it is synchronous and without IO but the journal's; sockets and timers are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from hesper_dlms import obis
from hesper_dlms.classes.control import ControlState

from hesper_sim.errors import FleetError
from hesper_sim.event_codes import FRAUD, EventCode
from hesper_sim.faults import DEFAULTS, Fault
from hesper_sim.fleet import Fleet
from hesper_sim.grid import Feeder
from hesper_sim.history import History
from hesper_sim.journal import Record, Recorder
from hesper_sim.load import LoadModel
from hesper_sim.meter import Flow, Meter
from hesper_sim.nonvolatile import AttributeKey, Keys, Remembered
from hesper_sim.zones import ClockRule, clock_status, rule_of

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
Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""
REBOOT_S: Final = 2.0
_DAY_S: Final = 86_400


class District:
    """All the meters of a fleet and what happens to them."""

    def __init__(self, fleet: Fleet, history: History, journal: Recorder, clock: Clock) -> None:
        self.fleet = fleet
        self.history = history
        self.clock = clock
        self.latching = True
        self.latched_rows = 0
        self.later: Later = _at_once
        self.zone: ClockRule = rule_of(fleet.settings.zone)
        self._journal = journal
        self.pushes: list[Callable[[Meter], None]] = []
        self._shared: dict[bytes, bytes] = {}
        self._remembered: dict[str, Remembered] = {}
        self._rates: dict[str, tuple[float, float]] = {}
        model, depth = LoadModel(fleet.settings.seed), history.depth
        feeders: dict[int, Feeder] = {}
        self.meters = {
            plan.serial: Meter(
                plan,
                model.curve(plan.kind, plan.index),
                feeders.setdefault(plan.feeder, Feeder()),
                depth,
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
        powered = [meter for meter in self.meters.values() if Fault.OUTAGE not in meter.faults]
        captured = [(meter, at, meter.capture(at)) for at in instants for meter in powered]
        self._journal.append(
            latch_record(meter, at, row, clock_status(at, self.zone)) for meter, at, row in captured
        )
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
            if code in FRAUD:
                self.push_wanted(meter)

    def move_relay(self, meter: Meter, connect: bool, cause: str = "remote") -> bool:
        """Move the relay as class 70 does; returns whether the meter acknowledges it.

        A welded relay acknowledges and stays; a rejected one says so and stays. Every attempt is
        journalled and counted, also one that changes nothing. What opens it at the meter, by hand
        or by the limiter, leaves it ready for reconnection (Blue Book, 4.5.8, transitions f and g).
        """
        rejected = Fault.RELAY_REJECTED in meter.faults
        welded = Fault.RELAY_WELDED in meter.faults
        at = self.clock()
        output = meter.output if rejected or welded else connect
        result = "rejected" if rejected else "welded" if welded else "moved"
        control = _control_after(connect, cause)
        record = _relay_record(meter, int(at * 1000), output, cause, result)
        if not rejected:
            record["control"] = int(control)
        self._journal.append([record, *self._flow_records(meter, int(at), output)])
        meter.invocations += 1
        if rejected:
            self.log_event([meter], EventCode.DISCONNECTOR_FAILURE)
            return False
        meter.output = output
        meter.control = control
        self._settle_flow(meter, int(at))
        self.log_event([meter], _MOVED[cause in _AT_THE_METER, connect])
        return True

    def make_ready(self, meter: Meter) -> None:
        """Let a disconnected meter wait for the button that reconnects it; the relay stays."""
        record = _relay_record(meter, int(self.clock() * 1000), meter.output, "remote", "ready")
        record["control"] = int(ControlState.READY_FOR_RECONNECTION)
        self._journal.append([record])
        meter.invocations += 1
        meter.control = ControlState.READY_FOR_RECONNECTION

    def set_clock(self, meter: Meter, drift_s: int) -> None:
        """Set how far a meter's clock is ahead of true time; the event log says so."""
        self.log_event([meter], EventCode.CLOCK_ADJUSTED_OLD)
        meter.drift_s = drift_s
        if meter.serial in self._rates:
            self._rates[meter.serial] = (self.clock(), self._rates[meter.serial][1])
        self.log_event([meter], EventCode.CLOCK_ADJUSTED_NEW)

    def drift_s(self, meter: Meter) -> int:
        """Return how far a meter's clock is ahead of true time, in seconds."""
        rate = self._rates.get(meter.serial)
        if rate is None:
            return meter.drift_s
        since, seconds_a_day = rate
        return meter.drift_s + round((self.clock() - since) * seconds_a_day / _DAY_S)

    def known(self, meter: Meter) -> Remembered | None:
        """Return what a meter remembers beyond its plan; None for a meter without."""
        return self._remembered.get(meter.serial)

    def remembered(self, meter: Meter) -> Remembered:
        """Return the same, and begin an entry for a meter that has none."""
        return self._remembered.setdefault(meter.serial, Remembered())

    def with_settings(self) -> list[tuple[Meter, Remembered]]:
        """Return the meters that remember something."""
        return [(self.meters[serial], kept) for serial, kept in self._remembered.items()]

    def written(self, meter: Meter, key: AttributeKey) -> bytes | None:
        """Return what was written to an attribute; None while it has its default."""
        kept = self._remembered.get(meter.serial)
        return None if kept is None else kept.settings.get(key)

    def write(self, meter: Meter, key: AttributeKey, octets: bytes) -> None:
        """Keep what is written to an attribute."""
        class_id, logical_name, attribute_id = key
        name = f"{class_id}:{obis.text(logical_name)}:{attribute_id}"
        self.record(meter, "set", attribute=name, octets=octets.hex())
        self.remembered(meter).settings[key] = octets

    def change_keys(self, meter: Meter, keys: Keys) -> None:
        """Let new keys take the place of the old, from the next association on."""
        names = ("encryption", "authentication", "master", "broadcast")
        held = {name: key.hex() for name in names if (key := getattr(keys, name)) is not None}
        self.record(meter, "keys", keys=held)
        self.remembered(meter).keys = keys
        self.log_event([meter], EventCode.KEYS_CHANGED)

    def shared(self, octets: bytes) -> bytes:
        """Return equal octets seen before: the blocks of one image are the same in every meter."""
        return self._shared.setdefault(octets, octets)

    def push_wanted(self, meter: Meter) -> None:
        """Let a meter send its push now, where the fleet sends any."""
        for send in self.pushes:
            send(meter)

    def record(self, meter: Meter, kind: str, **fields: object) -> None:
        """Journal something that a meter must not forget."""
        self._journal.append([{"k": kind, "meter": meter.serial, "at": self.now()} | fields])

    def reboot(self, meter: Meter, dark_s: float = REBOOT_S) -> None:
        """Cut a meter's power for a moment: its links end, and what is volatile is lost."""
        if Fault.OUTAGE not in meter.faults:
            self.begin(meter, Fault.OUTAGE)
            self.later(dark_s, lambda: self.end(meter, Fault.OUTAGE))

    def begin(self, meter: Meter, fault: Fault, value: float | None = None) -> None:
        """Let a fault begin; one that is there already goes on, with the new value."""
        chosen = DEFAULTS.get(fault, 1.0) if value is None else value
        if meter.faults.get(fault) == chosen:
            return
        fresh = fault not in meter.faults
        before = meter.faults.get(fault, 0.0)
        meter.faults = {**meter.faults, fault: chosen}
        if fault is Fault.OUTAGE and fresh:
            meter.boots += 1
        if fault is Fault.VOLTAGE_SAG:
            meter.sag_permille, meter.sag_from = int(chosen), self.now()
        elif fault in (Fault.CLOCK_JUMP, Fault.CLOCK_DRIFT):
            meter.drift_s += int(chosen - before)
        elif fault is Fault.CLOCK_RATE:
            self._rates[meter.serial] = (self.clock(), chosen)
        elif fault in (Fault.REVERSE_ENERGY, Fault.OUTAGE):
            self.recount(meter)
        elif fault in (Fault.REGISTER_BACK, Fault.REGISTER_WRAP):
            self._lie(meter, fault, int(chosen))
        elif fault is Fault.REBOOT:
            meter.faults = {name: each for name, each in meter.faults.items() if name is not fault}
            self.reboot(meter, chosen)
        code = _BEGINNING.get(fault)
        if fresh and code is not None:
            self.log_event([meter], code)

    def end(self, meter: Meter, fault: Fault) -> None:
        """Let a fault end; one that is not there is ignored."""
        if fault not in meter.faults:
            return
        meter.faults = {name: each for name, each in meter.faults.items() if name is not fault}
        if fault is Fault.VOLTAGE_SAG:
            meter.sag_permille = 0
        elif fault in (Fault.CLOCK_JUMP, Fault.CLOCK_DRIFT):
            meter.drift_s = 0
        elif fault is Fault.CLOCK_RATE:
            self._rates.pop(meter.serial, None)
        elif fault in (Fault.REGISTER_BACK, Fault.REGISTER_WRAP):
            meter.lie_wh = 0
        elif fault in (Fault.REVERSE_ENERGY, Fault.OUTAGE):
            self.recount(meter)
        code = _ENDING.get(fault)
        if code is not None:
            self.log_event([meter], code)

    def _lie(self, meter: Meter, fault: Fault, value_wh: int) -> None:
        """Let the energy registers stand where they should not, from now on."""
        now = self.now()
        meter.lie_wh, meter.lied_from = 0, now
        if fault is Fault.REGISTER_WRAP:
            meter.lie_wh = (1 << 32) - value_wh - meter.energy_wh(now).active_import
        else:
            meter.lie_wh = -value_wh

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


def _at_once(_seconds: float, act: Callable[[], None]) -> None:
    act()


def _control_after(connect: bool, cause: str) -> ControlState:
    if connect:
        return ControlState.CONNECTED
    at_the_meter = cause in _AT_THE_METER
    return ControlState.READY_FOR_RECONNECTION if at_the_meter else ControlState.DISCONNECTED


_AT_THE_METER: Final = frozenset({"manual", "limiter"})
_MOVED: Final = {
    (False, True): EventCode.REMOTE_CONNECTION,
    (False, False): EventCode.REMOTE_DISCONNECTION,
    (True, True): EventCode.MANUAL_CONNECTION,
    (True, False): EventCode.LOCAL_DISCONNECTION,
}
_BEGINNING: Final = {
    Fault.VOLTAGE_SAG: EventCode.VOLTAGE_SAG_L1,
    Fault.COVER_OPENED: EventCode.METER_COVER_OPENED,
    Fault.MAGNETIC_FIELD: EventCode.STRONG_FIELD_DETECTED,
    Fault.REVERSE_ENERGY: EventCode.CURRENT_REVERSAL,
    Fault.OUTAGE: EventCode.POWER_DOWN,
}
_ENDING: Final = {
    Fault.VOLTAGE_SAG: EventCode.VOLTAGE_NORMAL_L1,
    Fault.COVER_OPENED: EventCode.METER_COVER_CLOSED,
    Fault.MAGNETIC_FIELD: EventCode.NO_STRONG_FIELD,
    Fault.OUTAGE: EventCode.POWER_UP,
}


def _flow_of(meter: Meter, output: bool) -> Flow:
    if not output or Fault.OUTAGE in meter.faults:
        return Flow.CUT
    return Flow.REVERSED if Fault.REVERSE_ENERGY in meter.faults else Flow.NORMAL


def latch_record(meter: Meter, at: int, row: tuple[int, ...], status: int = 0) -> Record:
    """Return the journal record of one row of a load profile; `status` is its clock's."""
    return {
        "k": "latch",
        "meter": meter.serial,
        "profile": _PROFILE_NAME,
        "captured_at": at,
        "status": status,
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
