"""What a gateway says and nobody believes is audited, as much of it as tells what goes on.

No row ever leaves the audit log. So of a gateway that says nonsense without end the first of it are
noted one by one, and then one a minute, which says how many there were in between.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.pace import Pace

AT_ONCE, PER_S = 50, 1 / 60
REFUSED = "result.refused"


class Refusals:
    """Notes refused results; called from the deciding thread alone."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pace = Pace(PER_S, AT_ONCE, monotonic)
        self._left_out = Counter[str]()

    def note(self, session: Session, gateway: str, result: int, why: str, now: datetime) -> None:
        """Adds an audit row in the transaction, unless there are many of this gateway's lately."""
        if not self._pace.admits(gateway):
            self._left_out[gateway] += 1
            return
        left_out = self._left_out.pop(gateway, 0)
        told = f"{why}; {left_out} before it are not noted" if left_out else why
        entry = audit.Entry(gateway, REFUSED, f"result {result}", why=told)
        audit.append(session, now, entry)
