"""A monotonic clock that moves when it is told to."""


class HandClock:
    """Seconds since nobody knows when."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
