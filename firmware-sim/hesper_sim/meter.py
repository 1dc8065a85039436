"""One simulated meter: a small object over a shared load curve and feeder.

Registers are never accumulated. A meter remembers, for the moment its way of counting last changed
(a relay that moved, energy that began to run backwards), what its registers stood at; every value
since then is that plus a look-up in the load curve. Times before that moment are answered as if
nothing had ever happened, which is right for the history before the fleet was born; what lies
between was latched and is never computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from hesper_dlms.classes.control import ControlState

from hesper_sim.buffers import RowBuffer
from hesper_sim.faults import Fault
from hesper_sim.fleet import MeterPlan
from hesper_sim.grid import Feeder, frequency_chz, phase_shares
from hesper_sim.load import Energy, PlaceCurve, Power, scale_of
from hesper_sim.nonvolatile import Mark

FIRMWARE_VERSION: Final = "HSP-FW 1.4.2"
JOULES_PER_WH: Final = 3600
PROFILE_WIDTH: Final = 8
EVENT_DEPTH: Final = 500
NO_FAULTS: Final[Mapping[Fault, float]] = MappingProxyType({})
_REGISTER_SPAN: Final = 1 << 32
_NOT_MARKED: Final = Energy(0, 0, 0, 0)
_MARKS_KEPT: Final = 255


class Flow(StrEnum):
    """How the registers count."""

    NORMAL = "normal"
    CUT = "cut"
    REVERSED = "reversed"


class Measured(NamedTuple):
    """Instantaneous values: W, W, var, VA, decivolts, centiamperes, permille, centihertz."""

    power: Power
    voltages_dv: tuple[int, int, int]
    currents_ca: tuple[int, int, int]
    power_factor_permille: int
    frequency_chz: int


class Meter:
    """State of one meter; `at` is always epoch seconds by true time."""

    __slots__ = (
        "_curve",
        "_feeder",
        "_scale",
        "boots",
        "control",
        "counter_reserved",
        "drift_s",
        "earlier",
        "event_code",
        "events",
        "faults",
        "flow",
        "invocations",
        "joules",
        "lie_wh",
        "lied_from",
        "marked_at",
        "output",
        "plan",
        "profile",
        "sag_from",
        "sag_permille",
    )

    def __init__(self, plan: MeterPlan, curve: PlaceCurve, feeder: Feeder, depth: int) -> None:
        self.plan = plan
        self._curve = curve
        self._feeder = feeder
        self._scale = scale_of(plan.index)
        self.flow = Flow.NORMAL
        self.marked_at = 0
        self.joules = _NOT_MARKED
        self.output = True
        self.control = ControlState.CONNECTED
        self.invocations = 0
        self.counter_reserved = 1
        self.drift_s = 0
        self.event_code = 0
        self.sag_permille = 0
        self.sag_from = 0
        self.boots = 0
        self.lie_wh = 0
        self.lied_from = 0
        self.faults: Mapping[Fault, float] = NO_FAULTS
        self.earlier: tuple[Mark, ...] = ()
        self.profile = RowBuffer(PROFILE_WIDTH, depth)
        self.events = RowBuffer(1, EVENT_DEPTH)
        feeder.connect(self)

    @property
    def place(self) -> int:
        """How far down its feeder the home hangs."""
        return self.plan.place

    @property
    def serial(self) -> str:
        """The meter's serial number."""
        return self.plan.serial

    def energy_j(self, at: int) -> Energy:
        """Return import, export, reactive and apparent energy in joules, at any past moment too."""
        if not self.marked_at:
            return self._curve.energy_j(at, self._scale)
        if at >= self.marked_at:
            return self._counted(Mark(self.marked_at, self.flow, self.joules), at)
        for mark in reversed(self.earlier):
            if at >= mark.at:
                return self._counted(mark, at)
        return self._curve.energy_j(at, self._scale)

    def _counted(self, mark: Mark, at: int) -> Energy:
        if mark.flow == Flow.CUT:
            return mark.joules
        now = self._curve.energy_j(at, self._scale)
        then = self._curve.energy_j(mark.at, self._scale)
        used = Energy(*(end - start for end, start in zip(now, then, strict=True)))
        if mark.flow == Flow.REVERSED:
            used = used._replace(active_import=used.active_export, active_export=used.active_import)
        return Energy(*(base + more for base, more in zip(mark.joules, used, strict=True)))

    def energy_wh(self, at: int) -> Energy:
        """Return the same in Wh, Wh, varh and VAh, as the registers show it (32 bits)."""
        used, delivered, reactive, apparent = self.energy_j(at)
        shift = self.lie_wh if at >= self.lied_from else 0
        return Energy(
            (used // JOULES_PER_WH + shift) % _REGISTER_SPAN,
            (delivered // JOULES_PER_WH + shift) % _REGISTER_SPAN,
            reactive // JOULES_PER_WH % _REGISTER_SPAN,
            apparent // JOULES_PER_WH % _REGISTER_SPAN,
        )

    def import_wh(self, at: int) -> int:
        """Return the first of them alone; half the work for a meter that was never touched."""
        if self.marked_at or self.lie_wh:
            return self.energy_wh(at).active_import
        return self._curve.import_j(at, self._scale) // JOULES_PER_WH % _REGISTER_SPAN

    def power_w(self, at: int) -> Power:
        """Return the instantaneous power."""
        flow = self._flow_at(at)
        if flow is Flow.CUT:
            return Power(0, 0, 0, 0)
        power = self._curve.power_w(at, self._scale)
        if flow is Flow.REVERSED:
            return power._replace(
                active_import=power.active_export, active_export=power.active_import
            )
        return power

    def net_load_w(self, at: int) -> int:
        """Return what the home puts on its feeder; below zero when it delivers."""
        if self._flow_at(at) is Flow.CUT:
            return 0
        power = self._curve.power_w(at, self._scale)
        return power.active_import - power.active_export

    def voltages_dv(self, at: int) -> tuple[int, int, int]:
        """Return the phase voltages in decivolts."""
        first, second, third = self._feeder.voltages_dv(at, self.plan.place)
        left = 1000 - self.sag_permille if at >= self.sag_from else 1000
        return first * left // 1000, second * left // 1000, third * left // 1000

    def measure(self, at: int) -> Measured:
        """Return every instantaneous value of one moment."""
        power, voltages = self.power_w(at), self.voltages_dv(at)
        shares = phase_shares(self.plan.place)
        first, second, third = (
            power.apparent * share * 10 // voltage if voltage else 0
            for share, voltage in zip(shares, voltages, strict=True)
        )
        active = power.active_import or power.active_export
        factor = min(1000 * active // power.apparent, 1000) if power.apparent else 1000
        return Measured(power, voltages, (first, second, third), factor, frequency_chz(at))

    def capture(self, at: int) -> tuple[int, ...]:
        """Return the row of the load profile at `at`, without its clock."""
        return (*self.energy_wh(at), *self.voltages_dv(at), self.power_w(at).active_import)

    def _flow_at(self, at: int) -> Flow:
        return self.flow if at >= self.marked_at else Flow.NORMAL

    def count_as(self, flow: Flow, at: int) -> None:
        """Count differently from `at` on; the registers go on from where they stand."""
        self.joules = self.energy_j(at)
        self.restore_flow(flow, at, self.joules)

    def restore_flow(self, flow: Flow, at: int, joules: Energy) -> None:
        """Take the state that an earlier `count_as` left."""
        if self.marked_at:
            mark = Mark(self.marked_at, self.flow, self.joules)
            self.earlier = (*self.earlier[-_MARKS_KEPT:], mark)
        self.flow, self.marked_at, self.joules = flow, at, joules
        self._feeder.forget()
