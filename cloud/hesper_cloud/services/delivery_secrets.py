"""Secrets of targets: sealed, and never shown to another server than they were given for."""

import secrets
from urllib.parse import urlsplit

from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.delivery.targets import Config, Email, Webhook, config_of, seal_context
from hesper_cloud.services.errors import Invalid, Unavailable
from hesper_cloud.vault import Locked, Vault, VaultBroken

_SECRET_OCTETS = 32


def secret_instead(before: DeliveryTarget | None, config: Config) -> str | None:
    """Returns a secret that has to be made, because there is none or it goes somewhere else.

    Raises:
        Invalid: it would be a password, which only a person knows.
    """
    same = before is not None and _door(config_of(before.config)) == _door(config)
    if isinstance(config, Webhook) and not same:
        return secrets.token_urlsafe(_SECRET_OCTETS)
    if isinstance(config, Email) and config.username and not same:
        raise Invalid("give the password: it goes to another server, or for another account")
    return None


def sealed(vault: Vault, secret: str, target: int) -> Locked:
    """Returns a secret as it is kept.

    Raises:
        Unavailable: the key for that cannot be read.
    """
    try:
        return vault.lock(secret.encode("utf-8"), seal_context(target))
    except VaultBroken:
        raise Unavailable(
            "keys/delivery.key cannot be read: put the file back that was there before"
        ) from None


def _door(config: Config) -> tuple[object, ...]:
    """Returns to whom a secret is shown."""
    if isinstance(config, Email):
        return config.host, config.port, config.security, config.username, config.ca
    if isinstance(config, Webhook):
        parts = urlsplit(config.url)
        return parts.scheme, parts.netloc, config.ca
    return ()
