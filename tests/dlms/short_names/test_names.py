"""Base names: attributes 8 apart, methods at the offsets of the Blue Book, the association view."""

from __future__ import annotations

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import AccessSelection, CosemAttribute, CosemMethod
from hesper_dlms.classes.description import InterfaceClass
from hesper_dlms.classes.registry import REGISTRY
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.method_offsets import first_method
from hesper_dlms.short_names import (
    CURRENT_ASSOCIATION_BASE,
    SHORT_NAME_REPLY_TO_HLS,
    NamedObject,
    ShortNames,
)

NAME = obis.parse("1.0.1.8.0.255")


@pytest.mark.parametrize(
    ("class_id", "method", "offset"),
    [
        (3, 1, 0x28),
        (4, 1, 0x38),
        (5, 1, 0x48),
        (5, 2, 0x50),
        (7, 1, 0x58),
        (7, 2, 0x60),
        (8, 1, 0x60),
        (8, 6, 0x88),
        (9, 1, 0x20),
        (11, 1, 0x10),
        (11, 2, 0x18),
        (15, 1, 0x60),
        (18, 1, 0x40),
        (18, 4, 0x58),
        (20, 1, 0x50),
        (64, 1, 0x30),
        (70, 1, 0x20),
        (70, 2, 0x28),
    ],
)
def test_method_offsets(class_id: int, method: int, offset: int) -> None:
    names = ShortNames([NamedObject(0x1000, class_id, 1, NAME)])
    target = CosemMethod(class_id, NAME, method)
    assert names.of_method(target) == 0x1000 + offset
    assert names.resolve(0x1000 + offset) == target


@pytest.mark.parametrize(
    ("class_id", "version", "offset"),
    [(15, 2, 0x60), (40, 0, 0x38), (64, 0, 0x28), (64, 1, 0x30), (72, 0, 0x60), (72, 1, 0x70)],
)
def test_methods_begin_where_the_version_has_them(class_id: int, version: int, offset: int) -> None:
    names = ShortNames([NamedObject(0x1000, class_id, version, NAME)])
    assert names.of_method(CosemMethod(class_id, NAME, 1)) == 0x1000 + offset


def test_no_method_is_taken_for_what_a_later_version_made_an_attribute() -> None:
    names = ShortNames([NamedObject(0x1000, 40, 2, NAME)])
    assert names.resolve(0x1038) == CosemAttribute(40, NAME, 8)
    with pytest.raises(ServiceError):
        names.of_method(CosemMethod(40, NAME, 1))


@pytest.mark.parametrize("each", REGISTRY.values(), ids=lambda each: f"{each.name}-{each.version}")
def test_methods_follow_the_attributes_of_every_class(each: InterfaceClass) -> None:
    first = first_method(each.class_id, each.version)
    if first is not None and each.name != "association_sn":
        assert first > each.attribute_offset(each.attribute_count)


def test_attributes_are_8_apart() -> None:
    names = ShortNames([NamedObject(0x1000, 5, 0, NAME)])
    for number in range(1, 10):
        attribute = CosemAttribute(5, NAME, number)
        assert names.of_attribute(attribute) == 0x1000 + 8 * (number - 1)
        assert names.resolve(0x1000 + 8 * (number - 1)) == attribute


def test_the_current_association_is_always_known() -> None:
    names = ShortNames(())
    assert names.of_method(SHORT_NAME_REPLY_TO_HLS) == 0xFA58
    assert names.resolve(0xFA58) == SHORT_NAME_REPLY_TO_HLS
    assert names.resolve(0xFA28) == CosemAttribute(12, SHORT_NAME_REPLY_TO_HLS.logical_name, 6)


@pytest.mark.parametrize("name", [0x0FFF, 0x1001, 0x1007, 0x0000])
def test_names_that_stand_for_nothing(name: int) -> None:
    assert ShortNames([NamedObject(0x1000, 3, 0, NAME)]).resolve(name) is None


def test_unknown_objects_and_names_out_of_range_are_refused_as_a_meter_would() -> None:
    names = ShortNames([NamedObject(0xFFF8, 1, 0, NAME)])
    for attribute in (CosemAttribute(3, NAME, 2), CosemAttribute(1, NAME, 3)):
        with pytest.raises(ServiceError):
            names.of_attribute(attribute)
    with pytest.raises(ServiceError):
        names.of_method(CosemMethod(1, NAME, 1))


def test_the_association_view_has_signed_base_names() -> None:
    names = ShortNames([NamedObject(0x0100, 3, 0, NAME)])
    assert axdr.encode(names.object_list()).hex() == (
        "0102020410010012000311000906" + NAME.hex() + "020410fa0012000c1102090600002800" + "00ff"
    )
    again = ShortNames.from_object_list(names.object_list())
    assert again.objects == names.objects
    assert again.objects[-1].base_name == CURRENT_ASSOCIATION_BASE


@pytest.mark.parametrize(
    "view",
    [
        axdr.unsigned(1),
        axdr.array(axdr.structure(axdr.long_(1))),
        axdr.array(
            axdr.structure(
                axdr.long_(1), axdr.long_unsigned(3), axdr.unsigned(0), axdr.octet_string(b"123")
            )
        ),
    ],
)
def test_views_that_are_none(view: axdr.Data) -> None:
    with pytest.raises(DecodeError):
        ShortNames.from_object_list(view)


def test_parts_of_the_association_view() -> None:
    other = obis.parse("0.0.42.0.0.255")
    energy, name = NamedObject(0x0100, 3, 0, NAME), NamedObject(0xFD00, 1, 0, other)
    names = ShortNames([energy, name])
    assert names.select(AccessSelection(1, axdr.long_unsigned(3))) == axdr.array(energy.to_data())
    assert names.select(AccessSelection(1, axdr.long_unsigned(8))) == axdr.array()

    def by_name(class_id: int) -> AccessSelection:
        parameters = axdr.structure(axdr.long_unsigned(class_id), axdr.octet_string(other))
        return AccessSelection(2, parameters)

    assert names.select(by_name(1)) == name.to_data()
    with pytest.raises(ServiceError, match="object-undefined"):
        names.select(by_name(3))
    for selector in (2, 3):
        with pytest.raises(DecodeError):
            names.select(
                AccessSelection(selector, axdr.null_data() if selector == 3 else axdr.array())
            )
