"""A short message wakes a meter's modem, so that the meter calls."""

from collections.abc import Callable

from hesper_gateway.config import DialInLine, MeterConfig
from hesper_gateway.lines.dial_limits import DialOut
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.modem import ModemPort


class MessageWakeUp:
    """Wakes the meters of one dial-in line.

    Args:
        line: What to write, and how often.
        modem: Sends it.
        ledger: Knows when the last message went out, also from before a restart.
        now: Epoch seconds, UTC.
    """

    def __init__(
        self, line: DialInLine, modem: ModemPort, ledger: Ledger, now: Callable[[], float]
    ) -> None:
        self._line = line
        self._modem = modem
        self._ledger = ledger
        self._now = now

    async def wake(self, meter: MeterConfig) -> float:
        """Send the meter a message, unless one went out lately; return how long it may take.

        Raises:
            DialLimit: its cell has had its messages.
            ModemFailed: the message cannot be sent.
        """
        last = self._ledger.last(DialOut.MESSAGE, meter.id)
        since_s = self._now() - last if last is not None else self._line.wake_again_s
        if 0 <= since_s < self._line.wake_again_s:
            return max(0.0, self._line.wake_s - since_s)
        await self._modem.send_message(meter, self._line.wake_text)
        return self._line.wake_s
