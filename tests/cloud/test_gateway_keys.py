"""Gateways' keys in the registry follow those of the authority, however they came there."""

from typing import Any

import pytest
from hesper_cloud import provision
from hesper_cloud.db.authority import GatewayKey
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway
from hesper_cloud.gateway_keys import GatewayKeys
from hesper_cloud.provision import ProvisioningError
from sqlalchemy import select

FIRST, SECOND = "1a" * 32, "2b" * 32


def test_another_key_takes_the_place_of_one_only_where_that_is_meant(head_end: Any) -> None:
    def on_record() -> str:
        with reading(head_end.databases.authority) as session:
            return session.get_one(GatewayKey, "gw-by-hand").public_key

    for _ in range(2):
        provision.add_gateway(head_end.databases, "gw-by-hand", FIRST)
    with pytest.raises(ProvisioningError, match=r"another key.*--replace"):
        provision.add_gateway(head_end.databases, "gw-by-hand", SECOND)
    assert on_record() == FIRST
    provision.add_gateway(head_end.databases, "gw-by-hand", SECOND, replace=True)
    assert on_record() == SECOND


def test_a_key_that_came_by_enrolment_changes_or_ends_is_the_registrys_too(head_end: Any) -> None:
    registry, authority = head_end.databases.registry, head_end.databases.authority
    following = GatewayKeys(registry, authority, head_end.clock)
    provision.add_gateway(head_end.databases, "gw-by-hand", FIRST)

    def known() -> dict[str, str | None]:
        following.turn()
        with reading(registry) as session:
            columns = select(Gateway.id, Gateway.public_key)
            return {row.id: row.public_key for row in session.execute(columns)}

    before = known()
    assert before["gw-by-hand"] == FIRST
    with writing(authority) as session:
        for gateway, key in (("gw-enrolled", FIRST), ("gw-by-hand", SECOND)):
            session.merge(GatewayKey(gateway=gateway, public_key=key, added_at=head_end.clock()))
    assert known() == before | {"gw-enrolled": FIRST, "gw-by-hand": SECOND}
    with writing(authority) as session:
        session.delete(session.get_one(GatewayKey, "gw-enrolled"))
    assert known() == before | {"gw-enrolled": None, "gw-by-hand": SECOND}
