"""Which writes and methods may cut a home off, lose rows or lock us out of a meter.

By interface class (Blue Book): what a class is for says what a slip of the pen does there. What is
not in the tables of classes may do anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.classes import registry
from hesper_dlms.classes.description import GenericClass, InterfaceClass

_ROWS = "all rows of the profile are deleted"
_LAYOUT = (3, 4, 5, 6, 8)
"""What says how rows of a profile are captured; another value empties the buffer (class 7)."""
_WAYS_IN = (19, 23, 25, 27, 28, 41, 42, 43, 44, 45, 48)
"""Ports, modems and addresses."""
_WRITES: dict[tuple[int, int | None], str] = {
    **{(7, number): _ROWS for number in _LAYOUT},
    **{(class_id, None): "how the meter is reached" for class_id in _WAYS_IN},
    (9, None): "what a script does, which may be to cut the supply",
    (10, None): "when scripts run, which may cut the supply",
    (12, None): "the secret of the association",
    (15, None): "the secret or the objects of the association",
    (20, None): "when tariffs change and scripts run",
    (21, None): "at which values scripts run, which may cut the supply",
    (22, None): "when a script runs, which may cut the supply",
    (29, None): "how the meter calls",
    (64, None): "the security policy and keys",
    (68, None): "who may cut the supply",
    (70, None): "when the supply is cut",
    (71, None): "when the supply is limited",
    (124, None): "when the meter refuses to be reached",
}
_METHODS: dict[tuple[int, int | None], str] = {
    (3, 1): "the register is set to zero",
    (4, 1): "the register is set to zero",
    (5, None): "the demand register is reset or its period ended",
    (7, 1): _ROWS,
    (9, 1): "a script runs",
    (10, None): "other scripts run, which may cut the supply",
    (12, None): "the association changes",
    (15, 2): "the secret of the association changes",
    (15, None): "the association changes",
    (18, None): "the firmware changes",
    (20, 1): "another calendar says when tariffs change and scripts run",
    (64, None): "keys or the security policy change",
    (68, None): "the supply may be cut",
    (70, 1): "the supply is cut",
    (70, 2): "the supply is switched on",
    (72, None): "a meter behind this one changes",
}
_UNKNOWN = "nobody here knows what that changes"
_HARMLESS = {(15, 1)}


def of_write(attribute: CosemAttribute) -> str | None:
    """Return what writing an attribute changes that should not change by mistake."""
    described = _described(attribute.class_id)
    numbers = [each.attribute_id for each in described.attributes] if described else []
    return _danger(_WRITES, attribute.class_id, attribute.attribute_id, numbers)


def of_method(method: CosemMethod) -> str | None:
    """Return what a method does that should not happen by mistake."""
    if (method.class_id, method.method_id) in _HARMLESS:
        return None
    described = _described(method.class_id)
    numbers = [each.method_id for each in described.methods] if described else []
    return _danger(_METHODS, method.class_id, method.method_id, numbers)


def _described(class_id: int) -> InterfaceClass | None:
    found = registry.by_id(class_id)
    return None if isinstance(found, GenericClass) else found


def _danger(
    said: Mapping[tuple[int, int | None], str], class_id: int, number: int, known: Iterable[int]
) -> str | None:
    danger = said.get((class_id, number)) or said.get((class_id, None))
    return danger if danger or number in known else _UNKNOWN
