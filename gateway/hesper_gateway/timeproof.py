"""Proven time: what the authority's signed answer to our own nonce says, carried on by a clock.

Theory of operation
-------------------
A Pi without a battery clock wakes up in the past, and who can shift its clock could revive expired
commands. So a command's window is judged only by proven time: the gateway draws a nonce, the
authority signs it together with its time, and the gateway carries that time on with the clock that
counts since boot. The answer must come within ten seconds, and the whole round trip is added to it,
so that proven time is never behind and an expired command never looks valid.

Who holds the authority's key could also sign a time that runs ahead. So what is counted over hours
(the ceilings on disconnects) is counted by the earlier of proven time and the machine's clock.

Nothing is kept over a restart: after each start the first proof must come anew. One that is there
is renewed every hour, and before a command is refused for its time: the authority's clock may have
been put right since, or another authority with a clock of its own have taken over.
"""

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from hesper_contracts import requests
from hesper_contracts.frame import Kind
from hesper_contracts.requests import TimeRequest
from hesper_contracts.signing import Keyring

log = logging.getLogger(__name__)

LONGEST_ROUND_TRIP_S = 10.0
MOST_ASKED = 8
ASK_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)
RENEW_S = 3600.0
FRESH_S = 10.0

Publish = Callable[[Kind, bytes], Awaitable[bool]]


def since_boot() -> float:
    """Returns seconds since boot, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def system_time() -> datetime:
    """Returns the machine's clock, aware UTC."""
    return datetime.now(UTC)


class TimeProof:
    """Asks for the time and keeps it.

    Args:
        gateway: This gateway's name.
        keys: The authority's keys.
        monotonic: Seconds from a fixed but unknown origin, never set.
        system: The machine's clock, which anyone may have set.

    Attributes:
        first_answer: The authority's time in the first answer since the start (aware, UTC).
    """

    def __init__(
        self,
        gateway: str,
        keys: Keyring,
        monotonic: Callable[[], float] = since_boot,
        system: Callable[[], datetime] = system_time,
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._monotonic = monotonic
        self._system = system
        self._asked: dict[str, float] = {}
        self._origin: datetime | None = None
        self.first_answer: datetime | None = None
        self._proven = asyncio.Event()
        self._renewed = asyncio.Event()
        self._newest_s = -math.inf
        self._ask_now = asyncio.Event()

    def now(self) -> datetime | None:
        """Returns the proven time (aware, UTC), never behind; None before the first proof."""
        if self._origin is None:
            return None
        return self._origin + timedelta(seconds=self._monotonic())

    def earliest(self) -> datetime:
        """Returns the earlier of proven time and the machine's clock: no one hand speeds it up."""
        return min(self.now() or self._system(), self._system())

    def likeliest(self) -> datetime:
        """Returns the machine's clock; proven time where that is further off than a proof can be.

        For dating what a meter sends without a date (aware, UTC).
        """
        proven, system = self.now(), self._system()
        if proven is None or abs((system - proven).total_seconds()) <= LONGEST_ROUND_TRIP_S:
            return system
        return proven

    async def wait(self, timeout_s: float | None) -> datetime | None:
        """Returns the proven time, waiting so long for the first proof; None without one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._proven.wait()
        except TimeoutError:
            return None
        return self.now()

    async def renew(self, timeout_s: float) -> None:
        """Has the time proven anew, unless it was a moment ago; waits so long for that."""
        if self._monotonic() - self._newest_s < FRESH_S:
            return
        renewed = self._renewed
        if self._monotonic() - max(self._asked.values(), default=-math.inf) >= ASK_AGAIN_S[0]:
            self._ask_now.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await renewed.wait()

    def offset_ms(self) -> int | None:
        """Returns how far the system clock is ahead of proven time, in ms."""
        proven = self.now()
        return None if proven is None else round((self._system() - proven).total_seconds() * 1e3)

    def ask(self) -> bytes:
        """Returns the payload of a request with a fresh nonce."""
        nonce = secrets.token_hex(16)
        while len(self._asked) >= MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        self._asked[nonce] = self._monotonic()
        return requests.request_to_payload(TimeRequest(gateway=self._gateway, nonce=nonce))

    def accept(self, payload: bytes) -> bool:
        """Takes an answer; returns whether it proved the time.

        Raises:
            Refused: not an answer for us.
            Forged: not signed by the authority.
        """
        answer = requests.answer_from_payload(payload, self._keys, self._gateway)
        asked_at = self._asked.pop(answer.nonce, None)
        if asked_at is None or self._monotonic() - asked_at > LONGEST_ROUND_TRIP_S:
            return False
        self._origin = answer.time.astimezone(UTC) - timedelta(seconds=asked_at)
        self.first_answer = self.first_answer or answer.time.astimezone(UTC)
        self._proven.set()
        self._newest_s = asked_at
        self._renewed.set()
        self._renewed = asyncio.Event()
        return True

    def hurry(self) -> None:
        """Asks at once if there is no proof yet, as when the authority has just come."""
        if self._origin is None:
            self._ask_now.set()

    async def run(self, publish: Publish, connected: asyncio.Event) -> None:
        """Asks until there is a proof, and once an hour after that; runs for ever."""
        attempt = 0
        while True:
            await connected.wait()
            self._ask_now.clear()
            proven_before = self._origin
            await publish(Kind.REQUESTS, self.ask())
            pause_s = ASK_AGAIN_S[min(attempt, len(ASK_AGAIN_S) - 1)]
            attempt += 1
            await self._sleep(pause_s)
            if self._origin is not proven_before:
                log.info("time proven, the system clock is off by %s ms", self.offset_ms())
                attempt = 0
                await self._sleep(RENEW_S)

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ask_now.wait()
        except TimeoutError:
            return
