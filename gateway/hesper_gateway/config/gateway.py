"""The whole of gateway.toml: that its tables fit together, and how it is read."""

import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from hesper_gateway.config.complaints import complaint
from hesper_gateway.config.fields import GatewayId, Record, RelativePath
from hesper_gateway.config.lines import CsdLine, DialInLine, LineConfig, ModemConfig
from hesper_gateway.config.meters import (
    CeilingsConfig,
    ClockSyncConfig,
    MeterConfig,
    ScheduleConfig,
)
from hesper_gateway.config.metrics import MetricsConfig
from hesper_gateway.config.tracing import TracingConfig
from hesper_gateway.config.uplink import BrokerConfig, FirmwareConfig, KeysConfig, OutboxConfig
from hesper_gateway.errors import ConfigError
from hesper_gateway.file_owners import why


class GatewayConfig(Record):
    """The whole of gateway.toml."""

    gateway: GatewayId
    state: RelativePath = Path("state")
    """Folder of the gateway's database."""
    templates: RelativePath = Path("templates")
    """Folder of templates of one's own; a name that is not there is one of those that ship."""
    broker: BrokerConfig
    keys: KeysConfig = KeysConfig()
    ceilings: CeilingsConfig = CeilingsConfig()
    outbox: OutboxConfig = OutboxConfig()
    firmware: FirmwareConfig = FirmwareConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clock_sync: ClockSyncConfig | None = None
    metrics: MetricsConfig | None = None
    """Without it nothing listens."""
    tracing: TracingConfig | None = None
    modems: tuple[ModemConfig, ...] = ()
    lines: tuple[LineConfig, ...] = ()
    meters: tuple[MeterConfig, ...] = ()

    @model_validator(mode="after")
    def _names_fit_together(self) -> Self:
        if self.gateway == "cloud":
            raise ValueError("gateway: the name 'cloud' is reserved")
        _refuse_doubles("line name", [line.name for line in self.lines])
        _refuse_doubles("meter id", [meter.id for meter in self.meters])
        _refuse_doubles("modem name", [modem.name for modem in self.modems])
        for line in self.lines:
            self._modem_is_known(line)
        known = {line.name: line for line in self.lines}
        for meter in self.meters:
            if meter.line not in known:
                raise ValueError(f"meter {meter.id}: no line is named {meter.line!r}")
            _refuse_misplaced(meter, known[meter.line])
        _refuse_one_as_two(m for m in self.meters if not known[m.line].kind.startswith("push-"))
        return self

    def _modem_is_known(self, line: LineConfig) -> None:
        match line:
            case CsdLine():
                modem: str | None = line.modem
            case DialInLine():
                modem = line.wake_modem
            case _:
                return
        if modem is not None and modem not in {each.name for each in self.modems}:
            raise ValueError(f"line {line.name}: no modem is named {modem!r}")

    def line(self, name: str) -> LineConfig:
        """Return the line of that name; meters only name lines that exist."""
        return next(line for line in self.lines if line.name == name)

    def meters_on(self, line: str) -> tuple[MeterConfig, ...]:
        """Return the meters behind one line, in the order of the file."""
        return tuple(meter for meter in self.meters if meter.line == line)


def _refuse_misplaced(meter: MeterConfig, line: LineConfig) -> None:
    if line.kind == "dial-in" and not (meter.system_title or meter.logical_device_name):
        raise ValueError(
            f"meter {meter.id}: a dial-in meter needs its system_title or logical_device_name"
        )
    if line.kind == "csd" and meter.phone is None:
        raise ValueError(f"meter {meter.id}: a meter that is called needs its phone")


def _refuse_one_as_two(asked: Iterable[MeterConfig]) -> None:
    """Refuse two meters of one name among those that are asked.

    Both would be the one that answers to it: its readings stored twice, and its supply cut by a
    command for the other.
    """
    known: dict[str, str] = {}
    for meter in asked:
        if (name := meter.logical_device_name) is None:
            continue
        if (other := known.setdefault(name, meter.id)) != meter.id:
            raise ValueError(
                f"meters {other} and {meter.id} both have the logical_device_name {name!r}, which "
                "is one meter's: compare with the plates"
            )


def _refuse_doubles(what: str, names: list[str]) -> None:
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise ValueError(f"{what} used twice: {', '.join(doubled)}")


def load(path: Path, folder: Path | None = None) -> GatewayConfig:
    """Read gateway.toml; the mark that editors of Windows begin a file with is skipped.

    Args:
        path: The file.
        folder: Where it will lie, if elsewhere: what other files' names are relative to.

    Raises:
        ConfigError: the file is absent, not TOML, or does not fit; every place is listed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the text is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    context = {"folder": (folder or path.parent).absolute()}
    try:
        return GatewayConfig.model_validate(document, context=context)
    except ValidationError as error:
        raise ConfigError(complaint(str(path), error, document)) from error
