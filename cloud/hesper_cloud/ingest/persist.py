"""Keeps trying until a store or database takes something, because the data is in hand only here."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from hesper_cloud import metrics
from hesper_cloud.stores.port import StoreUnavailable

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_T = TypeVar("_T")


class Stopped(Exception):
    """The process ends before the data could be stored; gateways will send it again."""


def until_stored(action: Callable[[], _T], stop: threading.Event) -> _T:
    """Calls `action` until it does not say "unavailable".

    Raises:
        Stopped: `stop` was set while it was unavailable.
    """
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            return action()
        except (StoreUnavailable, OperationalError, InterfaceError) as error:
            metrics.RETRIES.inc()
            metrics.ERRORS.labels("store", type(error).__name__).inc()
            log.warning("not stored, again in %.1f s: %s", delay_s, error)
        if stop.wait(delay_s):
            raise Stopped
        delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
