"""The control socket: faults and questions while the fleet runs.

A UNIX socket, one JSON object per line in, one per line out, always with `ok`:

    {"op": "status"}
    {"op": "fault", "meter": SERIAL, "fault": NAME, "seconds": 60}   `line` instead of `meter`
    {"op": "clear", "meter": SERIAL, "fault": NAME}                  for a fault of a line
    {"op": "faults"}                 what is broken now, and what the scenario brings next
    {"op": "keys", "meter": SERIAL}  identity and keys as they are now, of all without `meter`
    {"op": "button", "meter": SERIAL}                  a hand presses the button at the meter
    {"op": "stop_latching"}, {"op": "start_latching"}

A fault ends by itself after `seconds`; asked for again, it is prolonged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from hesper_sim import credentials, faults
from hesper_sim.conductor import Conductor
from hesper_sim.district import District
from hesper_sim.errors import FleetError
from hesper_sim.faults import LINE_FAULTS, Fault
from hesper_sim.objects.switching import push_button
from hesper_sim.serial_line import SerialLine

DEFAULT_SECONDS: Final = 60.0
_LINE_LIMIT: Final = 65_536


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line that came in."""

    op: str
    meter: str | None = None
    line: str | None = None
    fault: str | None = None
    seconds: float = DEFAULT_SECONDS
    value: float | None = None


class Control:
    """Carries out what comes in.

    Args:
        district: The fleet.
        serial_lines: Lines that can be noisy, by name.
        conductor: Plays the scenario, where there is one.
    """

    def __init__(
        self,
        district: District,
        serial_lines: Mapping[str, SerialLine],
        conductor: Conductor | None = None,
    ) -> None:
        self._district = district
        self._serial_lines = serial_lines
        self._conductor = conductor
        self._ends: dict[tuple[str, Fault], asyncio.TimerHandle] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Return the answer to one line; never raises."""
        try:
            request = msgspec.json.decode(line, type=Request)
            act = _OPERATIONS.get(request.op)
            if act is None:
                raise FleetError(f"there is no operation {request.op!r}")
            return {"ok": True} | act(self, request)
        except (FleetError, msgspec.DecodeError) as error:
            return {"ok": False, "error": str(error)}

    def status(self, _request: Request) -> dict[str, Any]:
        """Return every meter's state."""
        now = self._district.now()
        return {
            "now": now,
            "latching": self._district.latching,
            "latched_rows": self._district.latched_rows,
            "capture_period_s": self._district.history.capture_period_s,
            "lines": {name: sorted(line.faults) for name, line in self._serial_lines.items()},
            "meters": [
                {
                    "meter": meter.serial,
                    "kind": meter.plan.kind,
                    "line": meter.plan.line,
                    "power_w": meter.power_w(now).active_import,
                    "output": meter.output,
                    "control": int(meter.control),
                    "last_captured_at": meter.profile.last_at,
                    "faults": sorted(meter.faults),
                }
                for meter in self._district.meters.values()
            ],
        }

    def faults(self, _request: Request) -> dict[str, Any]:
        """Return every fault that is there now, and what the scenario does."""
        broken = (meter for meter in self._district.meters.values() if meter.faults)
        return {
            "now": self._district.clock(),
            "meters": {meter.serial: dict(meter.faults) for meter in broken},
            "lines": {
                name: sorted(line.faults)
                for name, line in self._serial_lines.items()
                if line.faults
            },
            "scenario": [] if self._conductor is None else self._conductor.report(),
        }

    def keys(self, request: Request) -> dict[str, Any]:
        """Return identity and keys of one meter or of all, and the head end's."""
        chosen = (
            list(self._district.meters.values())
            if request.meter is None
            else [self._district.meter(request.meter)]
        )
        return {
            "meters": [credentials.of_meter(self._district, meter) for meter in chosen],
            "head_end": credentials.of_head_end(self._district.fleet.settings),
        }

    def press_button(self, request: Request) -> dict[str, Any]:
        """Press the button at a meter."""
        meter = self._district.meter(request.meter or "")
        moved = push_button(self._district, meter)
        return {"moved": moved, "output": meter.output, "control": int(meter.control)}

    def begin_fault(self, request: Request) -> dict[str, Any]:
        """Let a fault begin and end after its time."""
        fault = faults.parse(request.fault or "")
        if request.seconds <= 0:
            raise FleetError("seconds must be above 0")
        target = self._apply(request, fault, begin=True)
        self._forget_timer(target, fault)
        loop = asyncio.get_running_loop()
        self._ends[target, fault] = loop.call_later(request.seconds, self._expire, request, fault)
        return {"fault": fault, "target": target, "seconds": request.seconds}

    def end_fault(self, request: Request) -> dict[str, Any]:
        """End a fault now."""
        fault = faults.parse(request.fault or "")
        target = self._apply(request, fault, begin=False)
        self._forget_timer(target, fault)
        return {"fault": fault, "target": target}

    def stop_latching(self, _request: Request) -> dict[str, Any]:
        """Latch nothing more."""
        self._district.latching = False
        return {"latched_rows": self._district.latched_rows}

    def start_latching(self, _request: Request) -> dict[str, Any]:
        """Latch again from the next boundary on."""
        self._district.latching = True
        return {"latched_rows": self._district.latched_rows}

    def _expire(self, request: Request, fault: Fault) -> None:
        target = self._apply(request, fault, begin=False)
        self._ends.pop((target, fault), None)

    def _forget_timer(self, target: str, fault: Fault) -> None:
        timer = self._ends.pop((target, fault), None)
        if timer is not None:
            timer.cancel()

    def _apply(self, request: Request, fault: Fault, *, begin: bool) -> str:
        if fault in LINE_FAULTS:
            line = self._serial_lines.get(request.line or request.meter or "")
            if line is None:
                known = ", ".join(self._serial_lines) or "none"
                raise FleetError(f"{fault} needs a serial line; there are: {known}")
            (line.faults.add if begin else line.faults.discard)(fault)
            return request.line or request.meter or ""
        meter = self._district.meter(request.meter or "")
        if begin:
            self._district.begin(meter, fault, request.value)
        else:
            self._district.end(meter, fault)
        return meter.serial


_OPERATIONS: Final[dict[str, Callable[[Control, Request], dict[str, Any]]]] = {
    "status": Control.status,
    "fault": Control.begin_fault,
    "clear": Control.end_fault,
    "faults": Control.faults,
    "keys": Control.keys,
    "button": Control.press_button,
    "stop_latching": Control.stop_latching,
    "start_latching": Control.start_latching,
}
