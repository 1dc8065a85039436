"""The town of a demo: every meter and gateway has a place, and hangs on a feeder of the grid."""

from datetime import UTC, datetime

from hesper_cloud.aggregates import topology
from hesper_cloud.assets.history import By
from hesper_cloud.commissioning import MeterPaper
from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.registry import Area, Gateway, Meter
from hesper_lab import demo_places
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PAPERS = [
    *(
        MeterPaper(id=f"M{n}", gateway="gw-1", area=("North", "Old Town")[n // 10])
        for n in range(20)
    ),
    MeterPaper(id="PUSHED", gateway="gw-push", area="Replayed captures"),
]


def test_meters_gateways_and_areas_get_places_and_customers_a_feeder() -> None:
    engine = create_engine("sqlite://")
    RegistryBase.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(
            Gateway(id=name, first_seen_at=NOW, attributes={}) for name in ("gw-1", "gw-push")
        )
        session.add_all(Area(name=name) for name in {each.area for each in PAPERS})
        session.add_all(Meter(id=each.id, first_seen_at=NOW) for each in PAPERS)
        session.flush()
        feeders = {f"M{n}": n // 10 for n in range(20)}
        demo_places.enter(session, PAPERS, feeders, By("hesper-lab", NOW))
        spots = {
            (row.latitude, row.longitude)
            for row in (*session.scalars(select(Meter)), *session.scalars(select(Gateway)))
        }
        grid = topology.load(session)
    assert len(spots) == 22  # a gateway of one meter stands where that does
    assert all(abs(north - 47) < 0.02 and abs(east - 8) < 0.02 for north, east in spots)
    assert {(part.id, part.parent) for part in grid.parts if part.kind == "feeder"} == {
        ("feeder-1", "transformer-1"),
        ("feeder-2", "transformer-2"),
    }
    assert {place.element for place in grid.places} == {"feeder-1", "feeder-2"}
    assert "PUSHED" not in {place.meter for place in grid.places}
    engine.dispose()
