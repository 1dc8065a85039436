"""A push as a row of readings: integers with scaler and unit, and an honest time."""

from hesper_contracts.quality import Quality
from hesper_contracts.readings import MeterRows, Quantity, Section
from hesper_dlms.cosem_time import AMBIGUOUS, DOUBTFUL
from hesper_dlms.push import PushedReading, PushedValue
from hesper_dlms.units import ScalerUnit

from hesper_gateway.sessions.clock import quality_of
from hesper_gateway.sessions.left_out import LeftOut, travelling
from hesper_gateway.sessions.quantities import PLAIN_COUNT
from hesper_gateway.templates.model import PushTemplate, scaler_unit_of

FAR_OFF_S = 86400
"""A push dated further from its arrival than this is flagged."""
_VALUE_ATTRIBUTE = 2


def section_of(
    meter: str,
    template: PushTemplate,
    reading: PushedReading,
    received_at: float,
    left_out: LeftOut,
) -> Section | None:
    """Return the numbers of a push as they travel, counting the others; None when none travel.

    Of a logical name that comes twice the first value counts. Texts, times and values without a
    logical name are not readings.
    """
    numbers: dict[bytes, tuple[Quantity, int]] = {}
    for value in reading.values:
        name = value.logical_name
        if name is None or value.attribute_id != _VALUE_ATTRIBUTE or name in numbers:
            continue
        if isinstance(value.value, bool):
            continue
        number = travelling(value.value, name, left_out)
        if number is not None:
            numbers[name] = (_quantity(name, value, template), number)
    if not numbers:
        return None
    captured_at, status, quality = _time_of(reading, received_at)
    row = MeterRows(
        meter=meter,
        captured_at=[captured_at],
        clock_status=[status],
        quality=[int(quality)],
        values=[[number] for _, number in numbers.values()],
    )
    quantities = tuple(quantity for quantity, _ in numbers.values())
    return Section(template.profile, int(received_at), quantities, [row])


def nameless_count(reading: PushedReading) -> int:
    """Return how many integers of a push have no logical name, so that nobody knows them."""
    return sum(
        value.logical_name is None
        and isinstance(value.value, int)
        and not isinstance(value.value, bool)
        for value in reading.values
    )


def _time_of(reading: PushedReading, received_at: float) -> tuple[int, int, Quality]:
    if reading.captured_at is None:
        return int(received_at), DOUBTFUL, Quality.CLOCK_DOUBTFUL | Quality.TIME_ASSUMED
    captured_at = int(reading.captured_at.timestamp())
    quality = quality_of(reading.clock_status)
    if reading.how == AMBIGUOUS:
        quality |= Quality.TIME_ASSUMED
    if abs(captured_at - received_at) > FAR_OFF_S:
        quality |= Quality.TIME_FAR_OFF
    return captured_at, reading.clock_status, quality


def _quantity(name: bytes, value: PushedValue, template: PushTemplate) -> Quantity:
    found = value.scaler_unit or scaler_unit_in(template, name)
    return Quantity(name, found.scaler, int(found.unit))


def scaler_unit_in(template: PushTemplate, name: bytes) -> ScalerUnit:
    """Return what a template says of a logical name; the entry with fewest ``*`` wins.

    A name that it does not say anything of is a plain count.
    """
    return scaler_unit_of(template.scaler_units, name) or PLAIN_COUNT
