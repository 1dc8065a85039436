"""Settings of a meter: what is desired, what is reported, and what was done about it.

What is at the meter itself (calendar, special days, limiter, clock) is desired by the newest
command for it and reported by the newest one that was confirmed, that is read back or answered for
by the gateway. How it is read (template, capture period) is a field of the registry, reported by
the file that its gateway confirmed, or by nobody.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.services.assets import Assets
from hesper_cloud.services.commands import Commands
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.known_files import known_files
from hesper_cloud.services.records import OPEN_COMMAND_STATES, CommandRow, CommandWish
from hesper_cloud.services.scope import check_meter
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

SettingState = Literal["as desired", "pending", "differs", "unknown"]
BY_COMMAND = {
    "tariff_calendar": "tariff.calendar",
    "special_days": "tariff.special_days",
    "limiter": "limiter.write",
    "clock": "clock.sync",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``command`` is the newest that wanted to change it, with its state."""

    name: str
    desired: Any
    reported: Any
    reported_at: datetime | None
    state: SettingState
    command: str | None = None
    command_state: str | None = None


@dataclass(frozen=True, slots=True)
class SettingsOfMeter:
    """All settings of a meter; ``version`` is of what the registry says of it."""

    meter: str
    version: int
    settings: list[Setting]
    commands: list[CommandRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SettingsWish:
    """What is to be changed: by commands (by setting's name), and in the registry."""

    commands: dict[str, dict[str, Any]]
    template: str | None = None
    reason: str = ""
    serial_tail: str = ""


class MeterSettings:
    """Reads settings, and asks for what changes them."""

    def __init__(self, sources: Sources, commands: Commands, assets: Assets) -> None:
        self._sources = sources
        self._commands = commands
        self._assets = assets

    async def of(self, actor: Actor, meter: str) -> SettingsOfMeter:
        """Returns the settings of a meter.

        Raises:
            NotFound: there is no such meter.
        """
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        return await asyncio.to_thread(self._of, meter)

    async def change(
        self, actor: Actor, meter: str, wish: SettingsWish, key: str, version: int | None
    ) -> SettingsOfMeter:
        """Asks for commands and changes the registry; what was asked for is in the answer.

        Raises:
            Stale: the registry's version is another.
            Refused, Invalid, Unavailable: as `Commands.request` and `Assets.change` say; what came
                before in the order of the names stands.
        """
        require(actor, Permission.REQUEST_COMMAND)
        await check_meter(self._sources.registry, actor, meter)
        if not wish.commands and wish.template is None:
            raise Invalid("name at least one setting to change")
        if wish.template is not None:
            await self._assets.change(actor, "meter", meter, {"template": wish.template}, version)
        asked = []
        for name in sorted(wish.commands):
            kind = BY_COMMAND[name]
            command = CommandWish(kind, meter, wish.commands[name], wish.reason, wish.serial_tail)
            asked.append(await self._commands.request(actor, command, f"{key[:100]}-{name}"))
        found = await self.of(actor, meter)
        return SettingsOfMeter(found.meter, found.version, found.settings, asked)

    def _of(self, meter: str) -> SettingsOfMeter:
        with reading(self._sources.registry) as session:
            row = session.get(Meter, meter)
            if row is None:
                raise NotFound(worded("there is no meter {meter}", meter=meter))
        settings = [self._template(row)]
        query = select(CommandRecord).where(CommandRecord.meter == meter)
        with reading(self._sources.authority) as session:
            for name, kind in BY_COMMAND.items():
                newest = query.where(CommandRecord.kind == kind)
                newest = newest.order_by(CommandRecord.created_at.desc())
                settings.append(_by_command(name, session.scalars(newest.limit(50)).all()))
        return SettingsOfMeter(meter, row.version, settings)

    def _template(self, meter: Meter) -> Setting:
        file = None
        if meter.gateway_id is not None:
            file = known_files(self._sources.authority, [meter.gateway_id]).get(meter.gateway_id)
        listed = [] if file is None else file.content.get("meters", [])
        reported = next((each.get("template") for each in listed if each["id"] == meter.id), None)
        state: SettingState = "unknown"
        if reported is not None and meter.template is not None:
            state = "as desired" if reported == meter.template else "differs"
        at = file.confirmed_at if file is not None and reported is not None else None
        return Setting("template", meter.template, reported, at, state)


def _by_command(name: str, commands: Sequence[CommandRecord]) -> Setting:
    """Returns a setting from its commands, newest first."""
    if not commands:
        return Setting(name, None, None, None, "unknown")
    newest = commands[0]
    confirmed = next((each for each in commands if each.state == "confirmed"), None)
    reported = None if confirmed is None else confirmed.parameters
    at = None if confirmed is None else confirmed.updated_at
    state: SettingState
    desired: dict[str, Any] | None
    if newest.state in OPEN_COMMAND_STATES:
        state, desired = "pending", newest.parameters
    elif newest is confirmed:
        state, desired = "as desired", newest.parameters
    else:  # the newest came to nothing, so what was confirmed before is all that is wanted
        state, desired = ("as desired" if confirmed else "unknown"), reported
    return Setting(name, desired, reported, at, state, newest.id, newest.state)
