"""Every variant of GET, SET, ACTION and ACCESS between our client and our server."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import (
    ALL_LOGICAL_NAME_SERVICES,
    Conformance,
    DataAccessResult,
    EntrySelector,
    selector_of,
)
from hesper_dlms.client import AccessAction, AccessGet, AccessSet
from hesper_dlms.errors import LocalError, ServiceError

OWN_BLOCKS = (
    Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
)
GRANTS = {
    "everything": ALL_LOGICAL_NAME_SERVICES,
    "own-blocks": ALL_LOGICAL_NAME_SERVICES & ~Conformance.GENERAL_BLOCK_TRANSFER,
    "general-blocks": ALL_LOGICAL_NAME_SERVICES & ~OWN_BLOCKS,
    "singles": ALL_LOGICAL_NAME_SERVICES & ~Conformance.MULTIPLE_REFERENCES & ~Conformance.ACCESS,
}


@pytest.fixture(params=GRANTS)
def granted(request: pytest.FixtureRequest) -> Conformance:
    return GRANTS[request.param]


@pytest.fixture(params=[64, 100, 0xFFFF])
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def pair(bench: Any, kit: Any, link: str, who: int, size: int, granted: Conformance) -> Any:
    return kit.Pair(bench, link, who, size, granted)


LENGTHS = (0, 3, 70, 1000, 1)


def test_one_attribute_and_one_method(pair: Any, kit: Any) -> None:
    for number, length in enumerate(LENGTHS):
        value = kit.octets(length, number)
        pair.run(pair.client.set(kit.attribute(number), value))
        assert pair.run(pair.client.get(kit.attribute(number))) == value
        assert pair.run(pair.client.action(kit.method(number), value)) == value
    assert pair.run(pair.client.action(kit.method(1))) is None


def test_lists(pair: Any, kit: Any) -> None:
    values = [kit.octets(length, number) for number, length in enumerate(LENGTHS)]
    names = [kit.attribute(number) for number in range(len(values))]
    written = pair.run(pair.client.set_many([*names, kit.MISSING], [*values, values[0]]))
    assert [getattr(each, "code", None) for each in written] == [*[None] * len(values), 4]
    read = pair.run(pair.client.get_many([kit.MISSING, *names]))
    assert read[0].code == DataAccessResult.OBJECT_UNDEFINED
    assert read[1:] == values
    methods = [kit.method(number) for number in range(len(values))]
    asked = [*methods, kit.REFUSED, methods[0]]
    done = pair.run(pair.client.action_many(asked, [*values, values[0], None]))
    assert done[: len(values)] == values
    assert done[-2].code == apdu.ActionResult.READ_WRITE_DENIED
    assert done[-1] is None
    assert [name for name, _ in pair.objects.called] == [*methods, methods[0]]


def test_access(pair: Any, kit: Any, size: int, who: int, granted: Conformance) -> None:
    if (size, who) == (64, 1) and not granted & Conformance.GENERAL_BLOCK_TRANSFER:
        pytest.skip("a selection is longer than a ciphered APDU of 64 octets")
    in_access = granted & Conformance.ACCESS and size < 0xFFFF
    short = in_access and not granted & Conformance.GENERAL_BLOCK_TRANSFER
    value = kit.octets(5 if short else 500)
    name, action = kit.attribute(1), kit.method(1)
    done = pair.run(
        pair.client.access(
            [
                AccessSet(name, value),
                AccessGet(name),
                AccessGet(kit.MISSING),
                AccessAction(action, value),
                AccessAction(action),
                AccessAction(kit.REFUSED),
                AccessGet(name, EntrySelector(2, 5)),
                AccessSet(name, axdr.unsigned(3), EntrySelector(1, 1)),
            ],
            self_descriptive=True,
        )
    )
    codes = [each.code if isinstance(each, ServiceError) else None for each in done]
    assert codes == [None, None, 4, None, None, 3, None, None]
    assert [done[at] for at in (0, 1, 3, 4, 7)] == [None, value, value, None, None]
    assert selector_of(pair.objects.selections[-1]) == EntrySelector(2, 5)
    assert [octets for _, _, octets in pair.objects.parts] == [axdr.encode(axdr.unsigned(3))]


def test_access_breaks_on_error(pair: Any, kit: Any) -> None:
    wanted = [
        AccessSet(kit.attribute(1), axdr.unsigned(1)),
        AccessGet(kit.MISSING),
        AccessSet(kit.attribute(1), axdr.unsigned(2)),
        AccessAction(kit.method(1)),
    ]
    done = pair.run(pair.client.access(wanted, break_on_error=True))
    assert [getattr(each, "code", None) for each in done] == [None, 4, 250, 250]
    assert pair.objects.values[kit.attribute(1)] == axdr.encode(axdr.unsigned(1))
    assert pair.objects.called == []


def test_each_attribute_has_its_own_selection(pair: Any, kit: Any) -> None:
    for number in range(3):
        pair.objects.values[kit.attribute(number)] = axdr.encode(axdr.unsigned(number))
    asked = [
        kit.attribute(0),
        (kit.attribute(1), EntrySelector(1, 2)),
        (kit.attribute(2), EntrySelector(3, 4)),
    ]
    pair.run(pair.client.get_many(asked))
    first, *others = pair.objects.selections
    assert first is None
    assert [selector_of(each) for each in others] == [EntrySelector(1, 2), EntrySelector(3, 4)]


def test_empty_lists_ask_nothing(pair: Any) -> None:
    assert pair.run(pair.client.get_many([])) == []
    assert pair.run(pair.client.set_many([], [])) == []
    assert pair.run(pair.client.action_many([], [])) == []
    assert pair.run(pair.client.access([])) == []
    assert pair.seen == []


def test_no_apdu_is_longer_than_agreed(bench: Any, kit: Any, granted: Conformance) -> None:
    pair = kit.Pair(bench, "wrapper", 1, 90, granted, meter_pdu=80)
    values = [kit.octets(length, number) for number, length in enumerate(LENGTHS)]
    names = [kit.attribute(number) for number in range(len(values))]
    pair.run(pair.client.set_many(names, values))
    pair.run(pair.client.get_many(names))
    pair.run(pair.client.action_many([kit.method(at) for at in range(len(values))], values))
    asked = [size for each, _ in pair.seen for size in _sizes(each)]
    answered = [size for _, each in pair.seen for size in _sizes(each)]
    assert max(asked) <= 80
    assert max(answered) <= 90


def _sizes(octets: bytes) -> list[int]:
    """Return the lengths of the APDUs that a write to the wrapper carried."""
    sizes = []
    while octets:
        sizes.append(int.from_bytes(octets[6:8], "big"))
        octets = octets[8 + sizes[-1] :]
    return sizes


def test_a_write_that_cannot_be_cut_is_refused_by_ourselves(bench: Any, kit: Any) -> None:
    granted = GRANTS["own-blocks"] & ~OWN_BLOCKS
    pair = kit.Pair(bench, "wrapper", 16, 100, granted)
    with pytest.raises(LocalError, match="granted no blocks"):
        pair.run(pair.client.set(kit.attribute(1), kit.octets(200)))
    pair.objects.values[kit.attribute(1)] = axdr.encode(kit.octets(200))
    with pytest.raises(ServiceError) as refused:
        pair.run(pair.client.get(kit.attribute(1)))
    assert refused.value.code == DataAccessResult.OTHER_REASON
    pair.run(pair.client.set(kit.attribute(1), kit.octets(50)))


def test_lists_shrink_to_what_fits_without_blocks(bench: Any, kit: Any) -> None:
    granted = GRANTS["own-blocks"] & ~OWN_BLOCKS
    pair = kit.Pair(bench, "wrapper", 16, 100, granted)
    names = [kit.attribute(number) for number in range(9)]
    values = [kit.octets(30, number) for number in range(9)]
    assert pair.run(pair.client.set_many(names, values)) == [None] * 9
    assert len(pair.seen) > 1
    assert [pair.objects.values[name] for name in names] == [axdr.encode(each) for each in values]
