"""A program that is told to stop while it waits for that very word stops."""

import subprocess
import sys

import pytest

DEADLINE_S = 60.0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_word_to_stop_comes_through_at_the_worst_moment(name):
    program = [
        "import signal",
        "from hesper_cloud.process_commands import told_to_stop",
        "stop = told_to_stop()",
        f"with stop._cond: signal.raise_signal(signal.{name})",
        f"print(stop.wait({DEADLINE_S}))",
    ]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert ended.stdout == "True\n"
