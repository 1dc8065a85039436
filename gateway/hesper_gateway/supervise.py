"""Keeps one line's work running: what fails is started again, after a growing, jittered pause.

This is the one place where any exception is caught: a fault in one line must not stop the others.
What concerns the whole gateway (its database) is let through, ends the process and leaves the
restart to the service manager.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from hesper_gateway.database import DatabaseError
from hesper_gateway.errors import GatewayError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
STEADY_S = 120.0


async def supervise(
    name: str, work: Callable[[], Awaitable[None]], first_pause_s: float = FIRST_PAUSE_S
) -> None:
    """Runs work until it returns or is cancelled; starts it again when it raises.

    Raises:
        DatabaseError: nothing can be kept any more; the process must end.
    """
    loop = asyncio.get_running_loop()
    pause_s = first_pause_s
    while True:
        started = loop.time()
        try:
            await work()
        except DatabaseError:
            raise
        except GatewayError as error:
            log.warning("%s: %s", name, error)
        except Exception:  # the supervisor: one line's fault stays with that line
            log.exception("%s failed", name)
        else:
            return
        if loop.time() - started > STEADY_S:
            pause_s = first_pause_s
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
