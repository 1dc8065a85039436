"""What is kept, listed, searched and exchanged, on a real PostgreSQL."""

from datetime import UTC, datetime

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.assets import keeping
from hesper_cloud.assets.arrivals import meters_heard
from hesper_cloud.assets.exchange import exchange
from hesper_cloud.assets.history import By, changes
from hesper_cloud.assets.kinds import CUSTOMER, GATEWAY, METER, SIM
from hesper_cloud.assets.service_life import Register, away
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.paging import Asked
from hesper_cloud.services import asset_lists, asset_rows, asset_search
from hesper_cloud.services.asset_records import AssetQuery

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ANN = Actor("ann", Role.OPERATOR)


@pytest.fixture
def registry(postgres_database):
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "registry")
    yield engine
    engine.dispose()


def test_assets_live_on_postgres_as_on_sqlite(registry) -> None:
    by = By("ann", NOON, "worn out")
    with writing(registry) as session:
        keeping.create(session, GATEWAY, {"id": "gw-1"}, by)
        ada = keeping.create(session, CUSTOMER, {"account_number": "1", "name": "Ada_100%"}, by)
        for serial in ("HES1", "HES2"):
            keeping.create(session, METER, {"id": serial, "life": "stock"}, by)
        assert meters_heard(session, "gw-1", ["HES1"], NOON) == 1
        old, new = (session.get_one(Meter, serial) for serial in ("HES1", "HES2"))
        keeping.change(session, METER, old, {"customer_id": ada.id}, by)
        card = {"iccid": "8988303000000614225", "meter": "HES1"}
        keeping.create(session, SIM, card, by)
        shown = [Register("1.0.1.8.0.255", n, 0, 30, NOON, "person") for n in (7, 0)]
        exchange(session, old, new, *shown, by)
    with reading(registry) as session:
        hits = asset_search.search(session, ANN, "ada_100%", 5)
        assert [(hit.kind, hit.title) for hit in hits] == [
            ("meter", "HES2"),
            ("customer", "Ada_100%"),
        ]
        assert asset_search.search(session, ANN, "ada1100", 5) == []
        query = AssetQuery(filters={"area": "\0"})
        assert asset_lists.page(session, ANN, CUSTOMER, query, Asked())[2] == 0
        rows, _, _ = asset_lists.page(session, ANN, METER, AssetQuery(), Asked(sort="-id"))
        cards = asset_rows.meter_cards(session, rows)
        assert [(card.id, card.life, card.iccid) for card in cards] == [
            ("HES2", "installed", "8988303000000614225"),
            ("HES1", "removed", None),
        ]
        (gone,) = away(session).items()
        assert (gone[0], gone[1].since) == ("HES1", int(NOON.timestamp()))
        told = changes(session, "meter", "HES1", None, 10)
        assert [row.action for row in told][:2] == ["exchange", "update"]
