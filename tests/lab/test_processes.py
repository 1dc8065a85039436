"""Child processes for real: started, watched, asked to stop, killed with their own children."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_lab import processes, system
from hesper_lab.processes import Child, Died, wait_until
from hesper_lab.site import PACKAGES

DEADLINE_S = 60.0
READY = "print('ready', flush=True)"
WAIT = "signal.pause()"
Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a Python program as a child and waits until it says ready."""
    children: list[Child] = []

    def begin(*program: str, ready: bool = True, **environment: str) -> Child:
        lines = "\n".join(("import os, signal, subprocess, sys", *program))
        command = [sys.executable, "-c", lines]
        child = Child(f"child-{len(children)}", command, tmp_path / "log", environment)
        children.append(child)
        child.start()
        if ready:
            wait_until(lambda: "ready" in child.tail(), child, DEADLINE_S, "saying ready")
        return child

    yield begin
    for child in children:
        child.kill()


def test_a_child_writes_its_log_and_stops_when_asked(start: Start) -> None:
    goodbye = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('goodbye')))"
    child = start(goodbye, "print(os.environ['HESPER_WORD'])", READY, WAIT, HESPER_WORD="moin")
    assert child.is_running()
    child.check()
    child.stop()
    assert not child.is_running()
    assert child.tail().splitlines() == ["moin", "ready", "goodbye"]
    assert child.tail(1) == "goodbye"


def test_a_child_that_does_not_listen_is_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)", READY, f"while True: {WAIT}")
    monkeypatch.setattr(processes, "_STOP_S", 0.3)
    child.stop()
    monkeypatch.undo()
    with pytest.raises(Died, match=f"exit -{signal.SIGKILL:d}"):
        child.check()


def test_what_a_child_started_dies_with_it(start: Start) -> None:
    grandchild = "[sys.executable, '-c', 'import signal; signal.pause()']"
    child = start(f"print('pid', subprocess.Popen({grandchild}).pid)", READY, WAIT)
    pid = int(child.tail().split()[1])
    child.kill()
    deadline = time.monotonic() + DEADLINE_S
    while _lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_child_starts_again_under_its_name_and_log(start: Start) -> None:
    child = start(READY, WAIT)
    first = child.pid
    child.kill()
    child.start()
    wait_until(lambda: child.tail().count("ready") == 2, child, DEADLINE_S, "saying ready again")
    assert child.pid != first


def test_who_died_is_said_with_the_end_of_the_log(start: Start) -> None:
    child = start("print('the reason', flush=True)", "sys.exit(7)", ready=False)
    with pytest.raises(Died, match=r"child-0 ended \(exit 7\)(.|\n)*the reason"):
        wait_until(lambda: False, child, DEADLINE_S, "anything")
    child.stop()
    child.kill()


def test_waiting_ends_with_its_time(start: Start) -> None:
    child = start(READY, WAIT)
    with pytest.raises(Died, match="flying did not happen in 0 s"):
        wait_until(lambda: False, child, 0.1, "flying")
    assert child.is_running()


def hearing_of_hang_up(action: str, *arguments: str) -> list[str]:
    """Returns Python's command, begun by somebody who has chosen what a lost terminal does."""
    choose = f"signal.signal(signal.SIGHUP, signal.{action})"
    begin = "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    return [sys.executable, "-c", f"import os, signal, sys; {choose}; {begin}", *arguments]


@pytest.mark.parametrize(("action", "wishes"), [("SIG_DFL", 3), ("SIG_IGN", 2)])
def test_a_lost_terminal_is_a_wish_to_stop_unless_it_is_ignored(action: str, wishes: int) -> None:
    told = "from hesper_lab.processes import stop_signals; print(len(stop_signals()))"
    command = hearing_of_hang_up(action, "-c", told)
    assert int(subprocess.run(command, check=True, capture_output=True).stdout) == wishes


def test_a_child_that_was_never_started(tmp_path: Path) -> None:
    child = Child("ghost", ["true"], tmp_path / "log")
    assert not child.is_running()
    assert child.tail() == ""
    child.stop()
    with pytest.raises(Died):
        child.check()
    with pytest.raises(Died, match="ghost was not started"):
        _ = child.pid


def test_a_wish_to_stop_waits_until_a_child_that_was_begun_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = subprocess.Popen

    def slowly(*told: Any, **named: Any) -> Any:
        process = begin(*told, **named)
        os.kill(os.getpid(), signal.SIGTERM)
        return process

    monkeypatch.setattr(subprocess, "Popen", slowly)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked"))
    child = Child("child", [sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "l")
    try:
        with pytest.raises(SystemExit, match="asked"):
            child.start()
        assert child.is_running()
    finally:
        signal.signal(signal.SIGTERM, before)
        child.kill()


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP])
def test_a_benchmark_that_is_asked_to_stop_leaves_nobody_behind(
    tmp_path: Path, asked: signal.Signals
) -> None:
    if system.find("mosquitto", PACKAGES / "mosquitto") is None:
        pytest.skip("mosquitto is not on this machine")
    command = hearing_of_hang_up("SIG_DFL", "-m", "hesper_lab", "bench", "api", "--store", "duckdb")
    bench = Child("bench", command, tmp_path / "log", {"TMPDIR": str(tmp_path)})
    broker_and_head_end: list[int] = []
    bench.start()
    try:
        wait_until(lambda: len(_children(bench.pid)) >= 2, bench, DEADLINE_S, "having two children")
        broker_and_head_end += _children(bench.pid)
        os.kill(bench.pid, asked)
        bench._wait(DEADLINE_S)
        assert not [pid for pid in broker_and_head_end if _lives(pid)]
        with pytest.raises(Died, match=f"exit {128 + asked}"):
            bench.check()
    finally:
        bench.kill()
        for pid in filter(_lives, broker_and_head_end):
            os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
