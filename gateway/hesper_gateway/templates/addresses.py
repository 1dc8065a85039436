"""Where a meter is on its line: by gateway.toml, or by what its template says of its kind."""

from typing import Literal

from hesper_gateway.config import MeterConfig
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
