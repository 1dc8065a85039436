"""The double as a process of its own, that can be killed and started again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from hesper_lab.ports import answers

START_S = 100.0  # a machine whose every core is wanted by eight has taken 60


class Server:
    """The double, served by a process that can be killed."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "console_double.app", str(self._port)],
            cwd=Path(__file__).parents[1],
        )
        deadline = time.monotonic() + START_S
        while not answers(f"{self.base}/login"):
            assert self._process.poll() is None, "the double ended; its own output says why"
            assert time.monotonic() < deadline, "the double did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
