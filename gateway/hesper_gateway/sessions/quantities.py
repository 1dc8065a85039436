"""Scaler and unit of registers, read once for every meter type and firmware."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hesper_contracts.readings import Quantity
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.units import SCALER_UNIT_OF, ScalerUnit, Unit

from hesper_gateway.errors import MeterDistrusted
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.templates.model import ScalerUnitTemplate, scaler_unit_of

DATA, REGISTER, EXTENDED_REGISTER, DEMAND_REGISTER = 1, 3, 4, 5
_VALUE, _LAST_AVERAGE = 2, 3
_SCALER_UNIT_ATTRIBUTE = {class_id: scaler for (class_id, _), scaler in SCALER_UNIT_OF.items()}
"""The attribute that holds the scaler_unit, of each class of registers."""
_NO_SUCH_OBJECT = (3, 4, 9)
"""data-access-result read-write-denied, object-undefined, object-class-inconsistent."""
PLAIN_COUNT = ScalerUnit(0, Unit.COUNT)

Told = Mapping[str, ScalerUnitTemplate]
NOTHING_TOLD: Told = {}

Kind = tuple[str, str]
"""Model and firmware: meters alike in both have the same scalers and units."""


def is_named(item: CosemAttribute, beside: Collection[CosemAttribute]) -> bool:
    """Whether a logical name alone says which attribute of its object a number is.

    Of a register that is its value, never its status or capture time; of a demand register of which
    both averages are captured ``beside`` each other, it is the last one.
    """
    if item.class_id not in _SCALER_UNIT_ATTRIBUTE:
        return True
    if (item.class_id, item.attribute_id) == (DEMAND_REGISTER, _VALUE):
        return item._replace(attribute_id=_LAST_AVERAGE) not in beside
    return (item.class_id, item.attribute_id) in SCALER_UNIT_OF


@dataclass(slots=True)
class QuantityCache:
    """What was learned, shared by all sessions of the gateway."""

    _known: dict[tuple[Kind, int, bytes], ScalerUnit | None] = field(default_factory=dict)

    async def quantities(
        self,
        association: Association,
        kind: Kind,
        attributes: Sequence[CosemAttribute],
        told: Told = NOTHING_TOLD,
    ) -> list[Quantity | None]:
        """Return what each value attribute measures, in order; None where there is no such object.

        Args:
            association: Open.
            kind: Model and firmware.
            attributes: Values of registers, or others, which are plain counts.
            told: What the template says of registers whose meter tells no scaler and unit.

        Raises:
            MeterFailed: the meter cannot be read.
        """
        await self._learn(association, kind, attributes, told)
        return [
            None if known is None else Quantity(item.logical_name, known.scaler, int(known.unit))
            for item in attributes
            for known in [self._known[kind, item.class_id, item.logical_name]]
        ]

    async def _learn(
        self,
        association: Association,
        kind: Kind,
        attributes: Iterable[CosemAttribute],
        told: Told,
    ) -> None:
        unknown = []
        for item in attributes:
            key = (kind, item.class_id, item.logical_name)
            if item.class_id not in _SCALER_UNIT_ATTRIBUTE:
                self._known[key] = PLAIN_COUNT
            elif key not in self._known:
                unknown.append(item)
        found = await association.get_each([_scaler_unit_of(item) for item in unknown])
        for item, value in zip(unknown, found, strict=True):
            if isinstance(value, ServiceError) and value.code not in _NO_SUCH_OBJECT:
                raise refusal(value, f"scaler_unit of {item}") from value
            self._known[kind, item.class_id, item.logical_name] = _scaler_unit(item, value, told)


def _scaler_unit(item: CosemAttribute, value: Data | ServiceError, told: Told) -> ScalerUnit | None:
    by_template = scaler_unit_of(told, item.logical_name)
    if isinstance(value, ServiceError):
        return by_template
    try:
        return ScalerUnit.from_data(value)
    except DecodeError as error:
        if by_template is not None:
            return by_template
        raise MeterDistrusted(f"scaler_unit of {item}: {error}") from error


def _scaler_unit_of(item: CosemAttribute) -> CosemAttribute:
    return CosemAttribute(item.class_id, item.logical_name, _SCALER_UNIT_ATTRIBUTE[item.class_id])
