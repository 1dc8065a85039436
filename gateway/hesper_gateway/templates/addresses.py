"""Where a meter is on its line: by gateway.toml, or by what its template says of its kind."""

from collections.abc import Mapping
from typing import Literal

from hesper_gateway.config import (
    CsdLine,
    GatewayConfig,
    LineConfig,
    MeterConfig,
    SerialLine,
    TcpLine,
    UdpLine,
)
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates.formula import Formula
from hesper_gateway.templates.model import MeterTemplate

_HIGHEST = 0x3FFF


def address_of(
    meter: MeterConfig, template: MeterTemplate, which: Literal["server", "physical"]
) -> int | None:
    """Return an address: of gateway.toml, else of the template, by formula from the meter's id.

    Raises:
        ConfigError: the formula gives none.
    """
    given: int | None = getattr(meter, f"{which}_address")
    if f"{which}_address" in meter.model_fields_set:
        return given
    said: int | Formula | None = getattr(template.addresses, which)
    if not isinstance(said, Formula):
        return said
    try:
        found = said.value(meter.id)
    except ValueError as error:
        raise ConfigError(f"meter {meter.id}: {which} address: {error}") from error
    if not 0 <= found <= _HIGHEST:
        raise ConfigError(f"meter {meter.id}: {said.text!r} gives the {which} address {found}")
    return found


def check_apart(config: GatewayConfig, kinds: Mapping[str, MeterTemplate]) -> None:
    """Refuse two meters that are asked at one address: the one that answers there would be both.

    Args:
        config: From gateway.toml.
        kinds: The template of each meter that is asked, by its id.

    Raises:
        ConfigError: the text names both, and the address.
    """
    taken: dict[tuple[object, str], str] = {}
    for meter in config.meters:
        line = config.line(meter.line)
        way = _way(meter, line)
        if way is None:
            continue
        template = kinds[meter.id]
        address = _address(meter, template, line)
        if (other := taken.setdefault((way, address), meter.id)) != meter.id:
            raise ConfigError(
                f"meters {other} and {meter.id}: line {line.name} would ask both at {address}, "
                "where one answers: correct it, or take one of the two out"
            )


def _way(meter: MeterConfig, line: LineConfig) -> object:
    """Return what leads to everybody on a line; None where meters come by themselves."""
    match line:
        case TcpLine() | UdpLine():
            return line.kind, line.host, line.port
        case SerialLine():
            return line.path
        case CsdLine():
            return meter.phone
        case _:
            return None


def _address(meter: MeterConfig, template: MeterTemplate, line: LineConfig) -> str:
    server = f"server_address {address_of(meter, template, 'server')}"
    if template.link.kind == "wrapper":
        return server
    physical = f"{server}, physical_address {address_of(meter, template, 'physical')}"
    sign_on = meter.mode_e_address or getattr(line, "mode_e_address", "")
    return f"{physical}, mode_e_address {sign_on}" if sign_on else physical
