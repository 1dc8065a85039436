"""What errands have found, in the words of the contract."""

from dataclasses import dataclass, field

from hesper_contracts.results import ClockReading, Findings

from hesper_gateway.sessions.clock import MeterTime, as_utc


def clock_reading(clock: MeterTime) -> ClockReading:
    """Return a reading of a meter's clock as it travels."""
    return ClockReading(as_utc(clock.captured_at), round(clock.drift_s * 1000))


@dataclass(slots=True)
class Tally:
    """Counts rows or events as they are stored; times are epoch seconds by the meter."""

    count: int = 0
    times: list[int] = field(default_factory=list)
    """The oldest and the newest, once there is one."""

    def add(self, captured_at: list[int]) -> None:
        """Count what has become durable."""
        if captured_at:
            self.count += len(captured_at)
            known = [*self.times, *captured_at]
            self.times = [min(known), max(known)]

    def rows(self) -> Findings:
        """Return it as rows of a profile."""
        first_at, last_at = map(as_utc, self.times) if self.times else (None, None)
        return Findings(row_count=self.count, first_at=first_at, last_at=last_at)

    def events(self) -> Findings:
        """Return it as events of a log."""
        first_at, last_at = map(as_utc, self.times) if self.times else (None, None)
        return Findings(event_count=self.count, first_at=first_at, last_at=last_at)
