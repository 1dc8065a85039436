"""The compatibility engine as sessions see it: ``engine = "gurux"`` in a template."""

from hesper_dlms.client import AssociationSettings
from hesper_dlms.exchange import ClientLink

from hesper_gateway.config import MeterConfig
from hesper_gateway.engines.association import EngineAssociation
from hesper_gateway.engines.process import Engine, require_installed
from hesper_gateway.errors import ConfigError
from hesper_gateway.lines.channel import Channel
from hesper_gateway.sessions.association import Association
from hesper_gateway.templates.model import MeterTemplate, TimesTemplate


class Gurux:
    """Implements `sessions.common.OtherEngine`; nothing is started before the first association.

    Args:
        engine: The process of this gateway.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine or Engine()

    def check(self, meter: MeterConfig, template: MeterTemplate) -> None:
        """Raise ConfigError where the extra is not installed, or answers could not be verified."""
        require_installed(template.name)
        if meter.authentication_key_unknown:
            raise ConfigError(
                f'meter {meter.id}: engine = "gurux" needs the authentication_key of its meters, '
                "because nothing reaches it that was not verified"
            )

    def association(
        self,
        name: str,
        link: ClientLink,
        settings: AssociationSettings,
        channel: Channel,
        times: TimesTemplate,
    ) -> Association:
        """Return an association that is not open yet."""
        return EngineAssociation(self._engine, name, link, settings, channel, times)

    async def aclose(self) -> None:
        """End the process, if there is one."""
        await self._engine.aclose()
