"""The three ways out, behind one word."""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.mail import Mailer
from hesper_cloud.delivery.messages import Message
from hesper_cloud.delivery.publishing import Publisher
from hesper_cloud.delivery.targets import Email, Webhook, config_of, seal_context
from hesper_cloud.delivery.webhooks import Poster
from hesper_cloud.settings import Settings
from hesper_cloud.vault import Locked, Vault, VaultBroken


class Transports:
    """Sends a message to a target of any kind."""

    def __init__(self, settings: Settings, vault: Vault, clock: Callable[[], datetime]) -> None:
        delivery = settings.delivery
        self._vault = vault
        self._mailer = Mailer(delivery.timeout_s, delivery.networks, settings.state)
        self._poster = Poster(delivery.timeout_s, clock, delivery.networks)
        self._publisher = Publisher(settings.broker, delivery.timeout_s)

    def send(self, target: DeliveryTarget, message: Message) -> str:
        """Sends a message; returns what was answered.

        Raises:
            NotDelivered: the target did not take it, or its secret does not open.
        """
        try:
            config = config_of(target.config)
        except ValidationError:
            raise NotDelivered("its configuration is not understood; set it anew") from None
        if isinstance(config, Email):
            return self._mailer.send(config, self._secret(target), message)
        if isinstance(config, Webhook):
            return self._poster.send(config, self._secret(target), message)
        return self._publisher.send(target.name, message)

    def close(self) -> None:
        """Ends the connection to the broker."""
        self._publisher.close()

    def _secret(self, target: DeliveryTarget) -> str:
        if target.wrapped_key is None or target.sealed_secret is None:
            return ""
        locked = Locked(target.wrapped_key, target.sealed_secret)
        try:
            return self._vault.unlock(locked, seal_context(target.id)).decode("utf-8")
        except VaultBroken:
            raise NotDelivered("its secret does not open; set it anew") from None
