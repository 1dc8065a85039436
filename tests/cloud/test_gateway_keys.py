"""Gateways' keys in the registry follow those of the authority, however they came there."""

from typing import Any

from hesper_cloud import provision
from hesper_cloud.db.authority import GatewayKey
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway
from hesper_cloud.gateway_keys import GatewayKeys
from sqlalchemy import select

FIRST, SECOND = "1a" * 32, "2b" * 32


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
