"""Every attribute and every method of every class: what is encoded is decoded to the same."""

from functools import cache

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import CaptureObject
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes import kinds as k
from hesper_dlms.classes.description import InterfaceClass
from hesper_dlms.classes.registry import REGISTRY
from hesper_dlms.classes.structure import Converted, Either, StructureOf, fields_of
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.units import ScalerUnit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OCTETS = st.binary(max_size=12)
DATA = st.one_of(
    st.just(axdr.null_data()),
    st.integers(0, 255).map(axdr.unsigned),
    st.integers(-(2**31), 2**31 - 1).map(axdr.double_long),
    OCTETS.map(axdr.octet_string),
    st.lists(st.integers(0, 255).map(axdr.unsigned), max_size=3).map(
        lambda each: axdr.array(*each)
    ),
)
MOMENTS = {
    CosemDateTime: st.binary(min_size=12, max_size=12).map(CosemDateTime.from_octets),
    CosemDate: st.binary(min_size=5, max_size=5).map(CosemDate.from_octets),
    CosemTime: st.binary(min_size=4, max_size=4).map(CosemTime.from_octets),
}
NAMES = st.binary(min_size=6, max_size=6)
LIMITS = {
    "integer": (-128, 127),
    "long": (-(2**15), 2**15 - 1),
    "unsigned": (0, 255),
    "long-unsigned": (0, 65535),
    "double-long": (-(2**31), 2**31 - 1),
    "double-long-unsigned": (0, 2**32 - 1),
    "enum": (0, 255),
}
CONVERTED = {
    ScalerUnit: st.builds(ScalerUnit, st.integers(-128, 127), st.integers(0, 255)),
    CaptureObject: st.builds(
        CaptureObject, st.integers(0, 65535), NAMES, st.integers(-128, 127), st.integers(0, 65535)
    ),
}


@cache
def values(kind: k.Kind) -> st.SearchStrategy[object]:
    """Values of a kind."""
    match kind:
        case k.Raw():
            return DATA
        case k.Number():
            return st.integers(0, 65535) if kind.masked else st.integers(*LIMITS[kind.name])
        case k.Flag():
            return st.booleans()
        case k.OctetString():
            return OCTETS if kind.size is None else st.binary(min_size=6, max_size=6)
        case k.VisibleString():
            return st.text(max_size=9)
        case k.Bits():
            return st.text("01", max_size=30)
        case k.Moment():
            return MOMENTS[kind.moment]
        case k.ObjectIdentifier():
            arcs = st.lists(st.integers(0, 2**20), max_size=7)
            return arcs.map(lambda more: (2, 16, *more))
        case k.Ipv4():
            return st.ip_addresses(v=4)
        case k.Nullable():
            return st.none() | values(kind.kind)
        case k.ArrayOf():
            return st.lists(values(kind.element), max_size=3).map(tuple)
        case Converted():
            return CONVERTED[kind.type_]
        case Either():
            return values(kind.simple) | values(kind.structure)
        case StructureOf():
            return records(kind)
    raise AssertionError(kind)


def records(kind: StructureOf) -> st.SearchStrategy[object]:
    """Records, some without the optional fields at their end."""
    fields = fields_of(kind.record)
    least = sum(not field.has_default for field in fields)
    present = [
        values(
            each.kind.kind if each.has_default and isinstance(each.kind, k.Nullable) else each.kind
        )
        for each in fields
    ]
    lengths = range(least, len(fields) + 1)
    return st.one_of(
        *(st.tuples(*present[:length]).map(lambda some: kind.record(*some)) for length in lengths)
    )


CLASSES = [
    pytest.param(each, id=f"{each.name}-{each.version}")
    for (class_id, version), each in REGISTRY.items()
    if (class_id, version + 1) not in REGISTRY or class_id == 151
]
"""The newest version of each class, which has all attributes of those before."""


@pytest.mark.parametrize("described", CLASSES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_decode_of_encode(described: InterfaceClass, draw: st.DataObject) -> None:
    for attribute in described.attributes:
        value = draw.draw(values(attribute.kind), attribute.name)
        octets = axdr.encode(described.encode(attribute.name, value))
        assert described.decode(attribute.name, axdr.decode(octets)) == value
    for method in described.methods:
        if method.parameters is None:
            assert method.encode() == axdr.integer(0)
            continue
        value = draw.draw(values(method.parameters), method.name)
        assert method.parameters.decode(axdr.decode(axdr.encode(method.encode(value)))) == value


@pytest.mark.parametrize("described", CLASSES)
@settings(max_examples=8)
@given(st.data())
def test_other_data_is_a_decode_error_or_a_value(
    described: InterfaceClass, draw: st.DataObject
) -> None:
    for attribute in described.attributes:
        data = draw.draw(NOISE, attribute.name)
        try:
            value = described.decode(attribute.name, data)
        except DecodeError:
            continue
        octets = axdr.encode(described.encode(attribute.name, value))
        assert described.decode(attribute.name, axdr.decode(octets)) == value


NOISE = st.recursive(
    DATA
    | st.integers(-(2**63), 2**63 - 1).map(axdr.long64)
    | st.text(max_size=5).map(axdr.utf8_string)
    | st.text("01", max_size=9).map(axdr.bit_string)
    | st.binary(min_size=12, max_size=12).map(axdr.date_time)
    | st.booleans().map(axdr.boolean)
    | st.just(Data(Tag.FLOAT32, 1.5)),
    lambda inner: st.lists(inner, max_size=9).flatmap(
        lambda some: st.sampled_from([axdr.array(*some), axdr.structure(*some)])
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("described", CLASSES)
def test_what_does_not_fit_is_our_mistake(described: InterfaceClass) -> None:
    for attribute in described.attributes:
        with pytest.raises(LocalError):
            described.encode(attribute.name, object())
