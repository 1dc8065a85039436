"""The first capture of each meter's profile goes on record as soon as it is stored.

The gap ledger looks every few seconds, in a large fleet every few minutes. Were it alone to say
since when captures are expected, then rows that are stored, receipted and lost before its next look
would be missed by nobody. Written by a thread of its own, some thousand meters at a time, so seldom
that it takes a fiftieth of the time.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.db import beginnings
from hesper_cloud.db.engines import writing
from hesper_cloud.gaps.expectations import UNBUFFERED
from hesper_cloud.gaps.looks import FAR_BACK_S
from hesper_cloud.giving_way import Seldom, first_of

log = logging.getLogger(__name__)

EVERY_S = 1.0
AT_ONCE = 5000


class Beginnings:
    """Is told of meters' first rows; `flush` writes them."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seldom = Seldom(EVERY_S, monotonic)
        self._lock = threading.Lock()
        self._firsts: dict[str, dict[str, int]] = defaultdict(dict)  # profile → meter → epoch s

    def note(self, profile: str, firsts: Mapping[str, int], stored_at: int) -> None:
        """Takes the first captures, epoch seconds, of meters that had none of this profile.

        From a clock that is far behind or ahead nothing is concluded.
        """
        if profile in UNBUFFERED or not firsts:
            return
        believed = {
            meter: first for meter, first in firsts.items() if abs(stored_at - first) <= FAR_BACK_S
        }
        self._keep(profile, believed)

    def _keep(self, profile: str, firsts: Mapping[str, int]) -> None:
        with self._lock:
            noted = self._firsts[profile]
            earlier = {m: min(noted[m], firsts[m]) for m in noted.keys() & firsts.keys()}
            noted.update(firsts)
            noted.update(earlier)

    def flush(self, *, at_once: bool = False) -> None:
        """Writes some if it is time, or all that there are."""
        self._seldom.turn(self._write_some, at_once=at_once)

    def _write_some(self) -> bool:
        """Returns whether more wait; what cannot be written now is kept."""
        with self._lock:
            profile = next((profile for profile, noted in self._firsts.items() if noted), None)
            if profile is None:
                return False
            part = first_of(self._firsts[profile], AT_ONCE)
        try:
            with writing(self._engine) as session:
                beginnings.expect(session, profile, part)
        except SQLAlchemyError as error:
            log.warning("first captures not written, again soon: %s", error)
            self._keep(profile, part)
            return False
        with self._lock:
            return any(self._firsts.values())
