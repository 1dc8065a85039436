"""The relays of this gateway's meters: each in a turn of its line, before all bulk reading."""

from collections import Counter
from collections.abc import Mapping

from hesper_gateway.errors import Hop, MeterFailed
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.sessions.session import MeterSession


def in_reach(sessions: Mapping[str, MeterSession]) -> Mapping[str, int]:
    """Return by meter id how many supplies can be cut through its line, 1 at least."""
    relays = Counter(
        session.line
        for session in sessions.values()
        if session.template.objects.disconnect_control is not None
    )
    return {meter: max(1, relays[session.line]) for meter, session in sessions.items()}


class MeterRelays:
    """Implements `execution.Relays` on the meters' sessions, by meter id."""

    def __init__(self, sessions: Mapping[str, MeterSession]) -> None:
        self._sessions = sessions

    async def read(self, meter: str) -> RelayState:
        """Returns where the relay stands. Raises MeterFailed."""
        session = self._session(meter)
        return await session.line.submit(session.read_relay, Priority.COMMAND)

    async def move(
        self, meter: str, action: RelayAction, expected_ldn: str, permit: Permit
    ) -> RelayMove:
        """Moves the relay once, if ``permit`` allows it when the line is ours and at the write."""
        session = self._session(meter)

        async def turn() -> RelayMove:
            permit()
            return await session.move_relay(action, expected_ldn, permit)

        return await session.line.submit(turn, Priority.COMMAND)

    def _session(self, meter: str) -> MeterSession:
        session = self._sessions.get(meter)
        if session is None:
            raise MeterFailed(f"{meter} is not configured at this gateway", Hop.GATEWAY)
        return session
