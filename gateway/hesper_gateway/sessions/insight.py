"""What is needed to understand a conversation with a meter, and what to leave out of it."""

from dataclasses import dataclass, field

from hesper_dlms.security import SecuritySettings

from hesper_gateway.config import MeterConfig
from hesper_gateway.key_store import HeldKeys
from hesper_gateway.sessions.settings import link_for, unused
from hesper_gateway.templates.model import MeterTemplate


@dataclass(frozen=True, slots=True)
class Insight:
    """Never leaves the gateway.

    Attributes:
        security: What the reading association is ciphered with; None where it is not.
        client_system_title: Ours.
        meter_system_title: The meter's, where it is known beforehand.
        secrets: Its password and keys, those of a change that is open among them.
    """

    security: SecuritySettings | None
    client_system_title: bytes
    meter_system_title: bytes | None
    secrets: frozenset[bytes] = field(repr=False)


def insight_into(
    meter: MeterConfig, template: MeterTemplate, held: HeldKeys, client_system_title: bytes
) -> Insight:
    """Return the insight into what the reading association of a meter says."""
    credentials = unused(held.current, client_system_title)
    _, settings = link_for(meter, template, "reading", credentials)
    secrets = held.current.secrets()
    if held.pending is not None:
        secrets |= held.pending.keys.secrets()
    title = settings.meter_system_title
    return Insight(settings.security, client_system_title, title, frozenset(secrets))
