"""A gateway that is told to stop winds up to its end, and does not begin anew."""

import asyncio
import signal
import subprocess
import sys

import pytest
from hesper_gateway.cli import _until_stopped
from hesper_gateway.own import RestartWanted


async def told(number: signal.Signals) -> None:
    """Sends this process a signal; returns when the event loop has dealt with it."""
    dealt_with = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, dealt_with.set)
    signal.raise_signal(number)
    signal.raise_signal(signal.SIGUSR1)
    await dealt_with.wait()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_does_not_break_the_stopping_off(second):
    wound_up = []

    async def agent() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await told(second)
            wound_up.append("lines")

    assert not await _until_stopped(agent())
    assert wound_up == ["lines"]


async def test_who_is_told_to_stop_while_it_leaves_to_begin_anew_does_not_begin_anew():
    async def wants() -> None:
        raise RestartWanted("command 1")

    async def says_goodbye() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await told(signal.SIGTERM)

    async def agent() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(says_goodbye())
            await asyncio.sleep(0)
            tasks.create_task(wants())

    assert not await _until_stopped(agent())


def test_a_launcher_ends_by_the_signal_that_ended_its_agent():
    program = [
        "import sys",
        "from hesper_gateway.update import launcher",
        "launcher.Launcher.run = lambda _: -15",
        "sys.argv = ['launcher', '--config', 'gateway.toml', '--versions', 'versions']",
        "launcher.main()",
    ]
    ended = subprocess.run([sys.executable, "-c", "\n".join(program)], check=False)
    assert ended.returncode == -signal.SIGTERM
