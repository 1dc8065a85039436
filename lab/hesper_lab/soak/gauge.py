"""Memory and processor time of one process, sampled by a thread while something else goes on."""

import threading
import time
from dataclasses import dataclass

import psutil

_PERIOD_S = 5.0
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held and had used ``at`` seconds after the first sample."""

    at: float
    rss_mb: float
    cpu_s: float
    threads: int
    descriptors: int


class Gauge:
    """Samples a process from construction until it is stopped."""

    def __init__(self, pid: int, period_s: float = _PERIOD_S) -> None:
        self._process = psutil.Process(pid)
        self._period_s = period_s
        self._began = time.monotonic()
        self._stop = threading.Event()
        self.samples: list[Sample] = [self._sample()]
        self._thread = threading.Thread(target=self._watch, name="gauge", daemon=True)
        self._thread.start()

    def stop(self) -> list[Sample]:
        """Take the last sample and return all of them."""
        self._stop.set()
        self._thread.join()
        self.samples.append(self._sample())
        return self.samples

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self.samples.append(self._sample())

    def _sample(self) -> Sample:
        with self._process.oneshot():
            times = self._process.cpu_times()
            return Sample(
                round(time.monotonic() - self._began, 1),
                round(self._process.memory_info().rss / _MB, 1),
                round(times.user + times.system, 2),
                self._process.num_threads(),
                self._process.num_fds(),
            )


def cpu_share(samples: list[Sample]) -> float:
    """Return the processor time of a stretch of samples as a share of one core."""
    seconds = samples[-1].at - samples[0].at
    return (samples[-1].cpu_s - samples[0].cpu_s) / seconds if seconds else 0.0
