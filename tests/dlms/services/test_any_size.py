"""Whatever the values and the sizes, what arrives is what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import ALL_LOGICAL_NAME_SERVICES, Conformance
from hesper_dlms.client import AccessAction, AccessGet, AccessSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OWN_BLOCKS = (
    Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
)
GENERAL = Conformance.GENERAL_BLOCK_TRANSFER

VALUES = st.lists(
    st.recursive(
        st.one_of(
            st.binary(max_size=400).map(axdr.octet_string),
            st.integers(0, 255).map(axdr.unsigned),
            st.integers(0, 0xFFFFFFFF).map(axdr.double_long_unsigned),
        ),
        lambda inner: st.lists(inner, max_size=4).map(lambda items: axdr.structure(*items)),
        max_leaves=6,
    ),
    max_size=8,
)
GRANTS = st.sampled_from(
    [
        ALL_LOGICAL_NAME_SERVICES,
        ALL_LOGICAL_NAME_SERVICES & ~GENERAL,
        ALL_LOGICAL_NAME_SERVICES & ~OWN_BLOCKS,
        ALL_LOGICAL_NAME_SERVICES & ~Conformance.MULTIPLE_REFERENCES,
    ]
)


@pytest.mark.parametrize("who", [16, 1], ids=["plain", "ciphered"])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=VALUES,
    sizes=st.tuples(st.integers(64, 400), st.integers(64, 400)),
    windows=st.tuples(st.integers(1, 63), st.integers(1, 63)),
    granted=GRANTS,
)
def test_any_values_in_any_sizes(
    bench: Any,
    kit: Any,
    who: int,
    values: list[axdr.Data],
    sizes: tuple[int, int],
    windows: tuple[int, int],
    granted: Conformance,
) -> None:
    pair = kit.Pair(
        bench,
        "wrapper",
        who,
        sizes[0],
        granted,
        meter_pdu=sizes[1],
        block_window=windows[0],
        meter_window=windows[1],
    )
    names = [kit.attribute(number) for number in range(len(values))]
    methods = [kit.method(number) for number in range(len(values))]
    assert pair.run(pair.client.set_many(names, values)) == [None] * len(values)
    assert pair.run(pair.client.get_many(names)) == values
    assert pair.run(pair.client.action_many(methods, values)) == values
    if not granted & GENERAL:
        return
    wanted: list[Any] = []
    expected: list[Any] = []
    for name, method, value in zip(names, methods, reversed(values), strict=True):
        wanted += AccessSet(name, value), AccessGet(name), AccessAction(method, value)
        expected += None, value, value
    assert pair.run(pair.client.access(wanted)) == expected
