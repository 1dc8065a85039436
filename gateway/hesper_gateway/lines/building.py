"""From gateway.toml to lines: which meter waits in which queue, and what must run for it."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from hesper_gateway.config import (
    CsdLine,
    DialInLine,
    GatewayConfig,
    LineConfig,
    MeterConfig,
    PushSerialLine,
    PushTcpLine,
    PushUdpLine,
    SerialLine,
    TcpLine,
    UdpLine,
)
from hesper_gateway.lines.channel import Carrier
from hesper_gateway.lines.csd import CsdCarrier
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.listening import Ear, SerialEar, TcpEar, UdpEar
from hesper_gateway.lines.metered import MeteredCarrier
from hesper_gateway.lines.modem import ModemPort
from hesper_gateway.lines.serial_port import SerialCarrier
from hesper_gateway.lines.sim_pin import SimPin
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.lines.udp import UdpCarrier
from hesper_gateway.lines.wake_up import MessageWakeUp


@dataclass(slots=True)
class Lines:
    """The physical channels of a gateway.

    A dial-in meter has a channel, hence a queue, of its own; the meters of any other line share
    one.
    """

    by_meter: dict[str, Line] = field(default_factory=dict)
    listeners: dict[str, DialIn] = field(default_factory=dict)
    """By the name of the line in gateway.toml."""
    ears: dict[str, Ear] = field(default_factory=dict)
    """By the name of the line in gateway.toml."""
    modems: dict[str, ModemPort] = field(default_factory=dict)
    """By the name of the modem in gateway.toml."""

    @property
    def polled(self) -> dict[str, tuple[Line, list[str]]]:
        """Each line that reads, by name, with its meters' ids."""
        found: dict[str, tuple[Line, list[str]]] = {}
        for meter_id, line in self.by_meter.items():
            found.setdefault(line.name, (line, []))[1].append(meter_id)
        return found

    @property
    def reading(self) -> list[Line]:
        """The lines that read, each once."""
        return list(dict.fromkeys(self.by_meter.values()))

    async def aclose(self) -> None:
        """Close every channel that is still open, all at once: a silent meter takes seconds."""
        async with asyncio.TaskGroup() as tasks:
            for line in self.reading:
                tasks.create_task(line.aclose(), name=f"{line.name}-close")
        for modem in self.modems.values():
            modem.close()


def build(config: GatewayConfig, ledger: Ledger) -> Lines:
    """Return the lines of a configuration; nothing is opened yet.

    Args:
        config: From gateway.toml.
        ledger: Where what the lines use is written down.
    """
    lines = Lines()
    key = config.keys.signing
    lines.modems = {
        modem.name: ModemPort(modem, ledger, SimPin(modem.name, modem.pin_file, key, ledger))
        for modem in config.modems
    }
    for line in config.lines:
        _add(lines, line, config.meters_on(line.name), ledger)
    return lines


def _add(lines: Lines, config: LineConfig, meters: Iterable[MeterConfig], ledger: Ledger) -> None:
    match config:
        case TcpLine() | SerialLine() | UdpLine() | CsdLine():
            carrier = MeteredCarrier(_shared_carrier(lines, config), ledger)
            # A call costs by the minute and holds the modem, so it is not kept for a later reading.
            may_stay_open = not isinstance(config, CsdLine)
            shared = Line(config.name, carrier, may_stay_open=may_stay_open)
            lines.by_meter.update({meter.id: shared for meter in meters})
        case DialInLine():
            listener = DialIn(config, meters, _wake_up(lines, config, ledger))
            lines.listeners[config.name] = listener
            for meter in meters:
                name = f"{config.name}/{meter.id}"
                lines.by_meter[meter.id] = Line(name, MeteredCarrier(listener, ledger))
        case PushSerialLine():
            lines.ears[config.name] = SerialEar(config)
        case PushTcpLine():
            lines.ears[config.name] = TcpEar(config)
        case PushUdpLine():
            lines.ears[config.name] = UdpEar(config)


def _shared_carrier(lines: Lines, config: TcpLine | SerialLine | UdpLine | CsdLine) -> Carrier:
    match config:
        case TcpLine():
            return TcpCarrier(config)
        case SerialLine():
            return SerialCarrier(config)
        case UdpLine():
            return UdpCarrier(config)
        case CsdLine():
            return CsdCarrier(lines.modems[config.modem], config.linger_s, config.mode_e)


def _wake_up(lines: Lines, config: DialInLine, ledger: Ledger) -> MessageWakeUp | None:
    if config.wake_modem is None:
        return None
    return MessageWakeUp(config, lines.modems[config.wake_modem], ledger, time.time)
