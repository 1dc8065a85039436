"""What runs here and how it is set up, for people to look at; secrets and paths are not in it."""

import asyncio
from dataclasses import dataclass
from importlib.metadata import version

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.rules.own_links import is_connected
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.settings import RetentionSettings, WebSettings
from hesper_cloud.worded import worded


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: its section and name as in the settings, its value as text.

    ``is_well`` is None for what is set up, and says whether it answers for what runs.
    """

    section: str
    name: str
    value: str
    is_well: bool | None = None


class About:
    """What an installation is made of."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def facts(self, actor: Actor) -> tuple[Fact, ...]:
        """Returns the facts, by section."""
        require(actor, Permission.READ_AUDIT)
        return (*await asyncio.to_thread(self._running), *self._set_up())

    def _running(self) -> list[Fact]:
        broker = self._sources.settings.broker
        address = f"{broker.host}:{broker.port}"
        return [
            Fact("runs", "version", version("hesper")),
            _database("registry", self._sources.registry),
            _database("authority", self._sources.authority),
            Fact(
                "runs",
                "broker",
                worded("{address}, TLS", address=address)
                if broker.tls_ca
                else worded("{address}, without TLS", address=address),
                is_connected(),
            ),
            Fact(
                "runs",
                "store",
                self._sources.settings.store.kind,
                metrics.value(metrics.STORE_ANSWERS) != 0.0,
            ),
        ]

    def _set_up(self) -> list[Fact]:
        settings = self._sources.settings
        retention, web = settings.store.retention, settings.web
        return [
            Fact("retention", "readings", _readings(retention)),
            Fact("retention", "events", _days(settings.clean_up.event_days)),
            Fact("retention", "ids of batches", _days(retention.batch_days)),
            Fact("web", "session", f"{web.session_hours} h"),
            Fact("web", "secure cookies", _secure_cookies(web)),
            Fact("web", "map tiles", web.map_tiles.name if web.map_tiles else "none"),
            Fact("web", "sign-in by OpenID Connect", _yes(settings.oidc is not None)),
            Fact("keys", "command key in a token", _yes(settings.hsm is not None)),
            Fact("keys", "release keys of firmware", str(len(settings.firmware.release_keys))),
            Fact("rules", "nominal voltage", f"{settings.rules.nominal_voltage_v} V"),
            Fact("rules", "time zone of days", settings.validation.zone),
        ]


def _database(name: str, engine: Engine) -> Fact:
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return Fact("runs", name, engine.dialect.name, is_well=False)
    return Fact("runs", name, engine.dialect.name, is_well=True)


def _readings(kept: RetentionSettings) -> str:
    if kept.archive:
        return worded("{count} days, then in the archive", count=kept.raw_days)
    return _days(kept.raw_days)


def _days(count: int) -> str:
    return worded("{count} days", count=count) if count else "for ever"


def _secure_cookies(web: WebSettings) -> str:
    if web.behind_proxy and not web.secure_cookies:
        return "where the proxy says HTTPS"
    return _yes(web.secure_cookies or web.tls is not None)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
