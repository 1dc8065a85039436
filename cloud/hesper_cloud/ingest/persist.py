"""Keeps trying until a store or database takes something, because the data is in hand only here.

A store that is away for an hour is asked every two seconds all the time: a backlog must not wait
for a long pause to end. The log says when it goes, why, and when it is back. Who waits long may do
something else between two tries.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from hesper_cloud import metrics
from hesper_cloud.stores.port import StoreUnavailable

log = logging.getLogger(__name__)

AWAY_S = 15.0
"""Nothing takes so long but what waits for a store that is away."""
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_AWAY = (StoreUnavailable, OperationalError, InterfaceError)
_T = TypeVar("_T")


class Stopped(Exception):
    """The process ends before the data could be stored; gateways will send it again."""


def _nothing() -> None:
    """Does nothing meanwhile."""


def until_stored(
    action: Callable[[], _T],
    stop: threading.Event,
    meanwhile: Callable[[], None] = _nothing,
) -> _T:
    """Calls `action` until it does not say "unavailable", and `meanwhile` in a long wait.

    Raises:
        Stopped: `stop` was set while it was unavailable.
    """
    try:
        return action()
    except _AWAY as error:
        with metrics.STORE_WAITS.track_inprogress():
            return _tried_again(action, stop, meanwhile, error)


def _tried_again(
    action: Callable[[], _T],
    stop: threading.Event,
    meanwhile: Callable[[], None],
    error: Exception,
) -> _T:
    begun, delay_s, reason = time.monotonic(), _FIRST_DELAY_S, ""
    while True:
        metrics.RETRIES.inc()
        metrics.ERRORS.labels("store", type(error).__name__).inc()
        if reason != str(error):
            reason = str(error)
            log.warning("not stored, tried again until it is: %s", reason)
        if time.monotonic() - begun > AWAY_S:
            meanwhile()
        if stop.wait(delay_s):
            raise Stopped
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
        try:
            taken = action()
        except _AWAY as again:
            error = again
        else:
            log.warning("stored after %.1f s", time.monotonic() - begun)
            return taken
