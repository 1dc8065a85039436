"""The process of an engine: started when it is needed, asked one thing at a time, killed when late.

One process serves all meters of a gateway. A call that is late, an answer that is none, or an end
of the process costs all associations that it had open; their meters are read again at their next
time, in a new process. Every new process is first tried with forged answers (see `trial`); one that
fails there is never asked for a meter, and says so each time.
"""

import asyncio
import contextlib
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from importlib.util import find_spec

from hesper_gateway.engines import pipe
from hesper_gateway.engines.pipe import Message
from hesper_gateway.engines.trial import Unfit, try_out
from hesper_gateway.errors import ConfigError, Hop, MeterFailed

log = logging.getLogger(__name__)

CALL_S = 5.0
START_S = 60.0
"""A small machine imports slowly."""
PACKAGE = "gurux_dlms"
PROGRAM = ("-I", "-m", "hesper_gateway.engines.gurux_worker")


class EngineFailed(MeterFailed):
    """The engine, not the meter, is at fault."""

    hop = Hop.GATEWAY


def require_installed(template: str) -> None:
    """Raise ConfigError where the engine's package is absent; nothing of it is imported."""
    if find_spec(PACKAGE) is None:
        raise ConfigError(
            f'template {template}: engine = "gurux" needs gurux-dlms, which is not installed; '
            "run: pip install 'hesper[gurux]' (GPL-2.0-only, see docs/meter-templates.md)"
        )


class Engine:
    """The gurux engine of one gateway; nothing runs before the first call.

    Args:
        program: Arguments for the interpreter.
        call_s: Longest time of a call.
        start_s: Longest time of a call before the trial is over.
    """

    def __init__(
        self, program: tuple[str, ...] = PROGRAM, call_s: float = CALL_S, start_s: float = START_S
    ) -> None:
        self._program = program
        self._call_s = call_s
        self._start_s = start_s
        self._process: Process | None = None
        self._unfit = ""
        self._turn = asyncio.Lock()

    @property
    def process_id(self) -> int | None:
        """Of the process that serves now; None when there is none."""
        return None if self._process is None else self._process.pid

    async def ask(self, asked: Message) -> Message:
        """Return the answer to one message.

        Raises:
            EngineFailed: no answer in time, none that can be understood, or it cannot do it.
        """
        async with self._turn:
            process = await self._running()
            answer = await self._answer(process, asked, self._call_s)
        if "failed" in answer:
            raise EngineFailed(f"engine gurux: {answer['failed']}")
        return answer

    async def aclose(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _running(self) -> Process:
        if self._unfit:
            raise EngineFailed(self._unfit)
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        started = await asyncio.create_subprocess_exec(
            sys.executable, *self._program, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}
        )
        self._process = started
        try:
            await try_out(lambda asked: self._answer(started, asked, self._start_s))
        except Unfit as unfit:
            await self._end()
            self._unfit = f"engine gurux is not used: {unfit}"
            log.error("%s", self._unfit)  # noqa: TRY400 - for a person, who needs no traceback
            raise EngineFailed(self._unfit) from unfit
        return started

    async def _answer(self, process: Process, asked: Message, within_s: float) -> Message:
        whole = False
        try:
            async with asyncio.timeout(within_s):
                answer = await _exchange(process, asked)
            whole = True
        except TimeoutError as error:
            raise EngineFailed(f"engine gurux: no answer within {within_s:g} s") from error
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise EngineFailed("engine gurux: it broke down") from error
        finally:
            if not whole:  # also when the caller was cancelled: what comes now answers nobody
                await self._end()
        return answer

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _exchange(process: Process, asked: Message) -> Message:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process has no pipes")
    process.stdin.write(pipe.encode(asked))
    await process.stdin.drain()
    head = await process.stdout.readexactly(pipe.LENGTH_OCTETS)
    return pipe.decode(await process.stdout.readexactly(pipe.length_of(head)))
