"""A reading of the registers as they stand, between the captures of the load profile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hesper_contracts.readings import REGISTER_SNAPSHOT, MeterRows, Quantity, Section
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data

from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.clock import MeterTime
from hesper_gateway.sessions.left_out import LeftOut, travelling
from hesper_gateway.sessions.quantities import (
    NOTHING_TOLD,
    Kind,
    QuantityCache,
    Told,
)

_DISCONNECT_CONTROL, _OUTPUT_STATE = 70, 2
_COUNT = 255
"""The unit of a value that has none (Blue Book, table of units)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Registers of one meter at one time; ``values`` in the order of ``quantities``."""

    taken: MeterTime
    quantities: tuple[Quantity, ...]
    values: tuple[int, ...]
    left_out: LeftOut

    def section(self, meter: str, received_at: float) -> Section:
        """Return it as it travels."""
        taken = self.taken
        row = MeterRows(
            meter=meter,
            captured_at=[taken.captured_at],
            clock_status=[taken.clock_status],
            quality=[taken.quality],
            values=[[value] for value in self.values],
        )
        return Section(REGISTER_SNAPSHOT, int(received_at), self.quantities, [row])

    def beside(self, quantity: Quantity, value: int) -> "Snapshot":
        """Return it with one more value."""
        return replace(self, quantities=(*self.quantities, quantity), values=(*self.values, value))

    def by_name(self) -> Mapping[str, tuple[int, int, int]]:
        """Return value, scaler and unit by dotted logical name."""
        return {
            obis.text(quantity.logical_name): (value, quantity.scaler, quantity.unit)
            for quantity, value in zip(self.quantities, self.values, strict=True)
        }


async def read_snapshot(
    association: Association,
    wanted: Sequence[CosemAttribute],
    cache: QuantityCache,
    kind: Kind,
    taken: MeterTime,
    told: Told = NOTHING_TOLD,
) -> Snapshot:
    """Read the registers that this meter has; those without an integer are left out.

    Args:
        association: Open.
        wanted: Their values: attribute 2 of registers, or of what else holds a number.
        cache: Scalers and units that are known.
        kind: Model and firmware of the meter.
        taken: Its time.
        told: Scalers and units by the template, where the meter tells none.

    Raises:
        MeterFailed: the meter cannot be read.
    """
    known = await cache.quantities(association, kind, wanted, told)
    present = [
        (item, quantity)
        for item, quantity in zip(wanted, known, strict=True)
        if quantity is not None
    ]
    values = await association.get_each([item for item, _ in present])
    left_out = LeftOut()
    read = [
        (quantity, number)
        for (_, quantity), value in zip(present, values, strict=True)
        if isinstance(value, Data)
        and (number := travelling(value.value, quantity.logical_name, left_out)) is not None
    ]
    return Snapshot(taken, tuple(q for q, _ in read), tuple(n for _, n in read), left_out)


async def with_relay(
    association: Association, logical_name: bytes, registers: Snapshot
) -> Snapshot:
    """Read output_state too: 1 while the supply is connected; a meter without relay adds nothing.

    Raises:
        MeterFailed: the meter cannot be read.
    """
    wanted = CosemAttribute(_DISCONNECT_CONTROL, logical_name, _OUTPUT_STATE)
    (found,) = await association.get_each([wanted])
    if isinstance(found, Data) and isinstance(found.value, int):
        return registers.beside(Quantity(logical_name, 0, _COUNT), int(found.value))
    return registers
