"""Sends what was signed, and the same octets again until the gateway answers.

What is to leave waits in two lines, each in the order of its signing: what was signed just now,
and behind it what nobody has answered in time, which after an outage may be 100 000 commands. Some
of each leaves at a turn, and is looked up for it once more: what was answered, was stopped or ran
out of time while it waited does not leave.
"""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple, Protocol

from sqlalchemy import Engine

from hesper_cloud.authority.giving_way import GiveWay, looking_up
from hesper_cloud.authority.outgoing import Outgoing, still_to_go, unanswered
from hesper_cloud.db.engines import batched

RESEND_AFTER_S = 5.0
_RESEND_AT_LAST_S = 40.0
_AT_ONCE, _LOOKED_UP = 500, 50
_LOOK_AGAIN = timedelta(seconds=0.5)


class _Sent(NamedTuple):
    """When a command goes again, and after how long that is."""

    again_at: datetime
    after_s: float


class Outlet(Protocol):
    """Where signed commands leave."""

    @property
    def connection(self) -> int:
        """The number of the present connection; 0 while there is none."""
        ...

    def publish(self, outgoing: Outgoing, now: datetime) -> bool:
        """Hands over one command; False where it cannot leave now."""
        ...


class Sending:
    """Knows what is to leave; what gives way to the kill switch is found again after it."""

    def __init__(self, authority: Engine, outlet: Outlet, give_way: GiveWay) -> None:
        self._authority = authority
        self._outlet = outlet
        self._give_way = give_way
        self._new = deque[str]()
        self._again = deque[str]()
        self._sent: dict[str, _Sent] = {}
        self._look_again_at = datetime.min.replace(tzinfo=UTC)

    def is_under_way(self) -> bool:
        """Says whether more could leave at once."""
        return bool(self._new or self._again) and bool(self._outlet.connection)

    def send(self, signed: Sequence[Outgoing], now: datetime) -> None:
        """Sends what was signed just now, behind what was before it.

        Raises:
            GivesWay: the kill switch waits.
        """
        self._new.extend(outgoing.command_id for outgoing in signed)
        self._send_some(self._new, now)

    def send_again(self, now: datetime) -> None:
        """Sends some of what nobody has answered, each at growing distances.

        Raises:
            GivesWay: the kill switch waits.
        """
        if self._outlet.connection and not self._new and not self._again:
            self._look(now)
        self._send_some(self._new, now)
        self._send_some(self._again, now)

    def _look(self, now: datetime) -> None:
        """Lines up what is due to go again.

        A clock that was set back does not put that off until it is as late again.
        """
        if timedelta(0) < self._look_again_at - now <= _LOOK_AGAIN:
            return
        self._look_again_at = now + _LOOK_AGAIN
        waiting: set[str] = set()
        for some in unanswered(self._authority, now, self._give_way):
            waiting.update(some)
            self._again.extend(one for one in some if self._is_due(one, now))
        for command_id in self._sent.keys() - waiting:
            del self._sent[command_id]

    def _is_due(self, command_id: str, now: datetime) -> bool:
        last = self._sent.get(command_id)
        return last is None or not (
            timedelta(0) < last.again_at - now <= timedelta(seconds=last.after_s)
        )

    def _send_some(self, line: deque[str], now: datetime) -> None:
        if not line or not self._outlet.connection:
            return
        for some in batched(list(islice(line, _AT_ONCE)), _LOOKED_UP):
            found = still_to_go(self._authority, some, now)
            for command_id in looking_up(some, self._give_way):
                outgoing = found.get(command_id)
                if outgoing is not None and not self._publish(outgoing, now):
                    return
                line.popleft()

    def _publish(self, outgoing: Outgoing, now: datetime) -> bool:
        has_left = self._outlet.publish(outgoing, now)
        if has_left:
            last = self._sent.get(outgoing.command_id)
            after_s = min(2 * last.after_s, _RESEND_AT_LAST_S) if last else RESEND_AFTER_S
            again_at = now + timedelta(seconds=after_s)
            self._sent[outgoing.command_id] = _Sent(again_at, after_s)
        return has_left
