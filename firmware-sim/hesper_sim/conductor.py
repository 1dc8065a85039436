"""Plays a scenario on a running fleet: begins and ends faults when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from hesper_sim.district import District
from hesper_sim.faults import LINE_FAULTS
from hesper_sim.scenario import Entry, Scenario
from hesper_sim.serial_line import SerialLine

_STEP_S: Final = 0.1


class Conductor:
    """One scenario on one fleet.

    Args:
        scenario: What is to happen.
        district: To whom.
        serial_lines: Lines that can be noisy, by name.
    """

    def __init__(
        self, scenario: Scenario, district: District, serial_lines: Mapping[str, SerialLine]
    ) -> None:
        self._scenario = scenario
        self._district = district
        self._serial_lines = serial_lines
        self._started_at = district.clock()
        self._running: dict[int, tuple[int, tuple[str, ...]]] = {}

    async def run(self) -> None:
        """Play for ever."""
        while True:
            self.step()
            await asyncio.sleep(_STEP_S)

    def step(self) -> None:
        """Begin and end what is due now."""
        now = self._district.clock()
        for entry in self._scenario.entries:
            number = entry.occurrence(now, self._started_at)
            current = self._running.get(entry.number)
            if current is not None and current[0] != number:
                del self._running[entry.number]
                self._apply(entry, current[1], begin=False)
                current = None
            if current is None and number is not None:
                struck = tuple(each for each in entry.targets if entry.happens_to(each, number))
                self._running[entry.number] = number, struck
                self._apply(entry, struck, begin=True)

    def report(self) -> list[dict[str, Any]]:
        """Return every entry with what it does now and when it comes next."""
        now = self._district.clock()
        return [
            {
                "entry": entry.number + 1,
                "fault": entry.fault,
                "value": entry.value,
                "targets": len(entry.targets),
                "struck": list(self._running.get(entry.number, (0, ()))[1]),
                "active": entry.number in self._running,
                "next_at": entry.next_begin(now, self._started_at),
            }
            for entry in self._scenario.entries
        ]

    def _apply(self, entry: Entry, targets: tuple[str, ...], *, begin: bool) -> None:
        for target in targets:
            if entry.fault in LINE_FAULTS:
                line = self._serial_lines[target]
                (line.faults.add if begin else line.faults.discard)(entry.fault)
            elif begin:
                self._district.begin(self._district.meter(target), entry.fault, entry.value)
            else:
                self._district.end(self._district.meter(target), entry.fault)
