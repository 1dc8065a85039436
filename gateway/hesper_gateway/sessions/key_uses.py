"""How far a meter's encryption keys were used: each begins a count of its own, both ways."""

import asyncio
from dataclasses import dataclass, field

from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.common import Common, InvocationCounter
from hesper_gateway.sessions.settings import Credentials, key_name


@dataclass(slots=True)
class KeyUse:
    """How far one encryption key was used.

    Attributes:
        counter: Ours; None before the first use.
        counter_checked: Whether it is known to be beyond what the meter has seen.
        received: The highest of each system title.
    """

    counter: InvocationCounter | None = None
    counter_checked: bool = False
    received: dict[bytes, int] = field(default_factory=dict)


class KeyUses:
    """The uses of one meter's keys since the start.

    Args:
        meter: Its id.
        common: Where counters are reserved.
    """

    def __init__(self, meter: str, common: Common) -> None:
        self._meter = meter
        self._common = common
        self._by_name: dict[str, KeyUse] = {}

    def of(self, keys: MeterKeys) -> KeyUse:
        """Return the use of the encryption key."""
        return self._by_name.setdefault(key_name(keys), KeyUse())

    async def credentials(self, keys: MeterKeys) -> Credentials:
        """Return what an association is opened with; its counter is reserved."""
        use = self.of(keys)
        if use.counter is None and keys.encryption_key is not None:
            # Reserving waits for the disk; many meters begin at once and share that wait.
            use.counter = await asyncio.to_thread(
                self._common.counters.reserve, self._meter, key_name(keys)
            )
        title = self._common.client_system_title
        return Credentials(keys, title, use.counter, use.received)
