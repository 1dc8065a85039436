"""Where the fleet is, and which meters a list or a map asks for; over a small registry on disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, Gateway, Meter, RegistryBase
from hesper_cloud.services import meter_list
from hesper_cloud.services.geography import Box, Geography
from hesper_cloud.services.records import MeterQuery
from hesper_cloud.settings import RuleSettings
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL, NORTH = Actor("ann", Role.VIEWER), Actor("nora", Role.VIEWER, areas=("north",))
WHOLE = MeterQuery(box=(-90.0, -180.0, 90.0, 180.0))


def meter(name: str, at: tuple[float, float] | None, area: str, hours: float, fw: str) -> Meter:
    return Meter(
        id=name,
        state="commissioned",
        area=area,
        model="SIM-3P",
        firmware=fw,
        latitude=at[0] if at else None,
        longitude=at[1] if at else None,
        first_seen_at=NOW - timedelta(days=9),
        last_contact_at=NOW - timedelta(hours=hours),
        capture_period_s=900,
    )


def fill(session: Session) -> None:
    session.add(Gateway(id="gw-1", latitude=52.5, longitude=13.4, state="online"))
    session.add_all(
        [
            meter("M1", (52.50, 13.40), "north", 0.1, "2.10.0"),
            meter("M2", (52.51, 13.41), "north", 30.0, "2.9.1"),
            meter("M3", (48.10, 11.50), "south", 0.1, "2.10.0"),
            meter("M4", None, "south", 30.0, "other 1"),
        ]
    )
    session.add_all(
        [
            Element(id="a", kind="area", name="City", parent=None),
            Element(id="f1", kind="feeder", name="Feeder 1", parent="a"),
            Element(id="t1", kind="transformer", name="Transformer 1", parent="f1"),
            Element(id="s1", kind="feeder", name="Feeder of the south", parent=None),
        ]
    )
    session.flush()
    for element, name in (("f1", "M1"), ("t1", "M2"), ("s1", "M3")):
        session.add(ElementMeter(element=element, meter=name, from_at=NOW, role="customer"))
    session.add(
        Alert(
            rule="tamper",
            meter="M1",
            severity="critical",
            state="new",
            raised_at=NOW,
            text="cover opened",
        )
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder: Path = tmp_path_factory.mktemp("geography")
    engine = create_engine(f"sqlite:///{folder / 'hesper.db'}")
    RegistryBase.metadata.create_all(engine)
    with writing(engine) as session:
        fill(session)
    settings = SimpleNamespace(rules=RuleSettings())
    return SimpleNamespace(registry=engine, clock=lambda: NOW, settings=settings)


def found(sources: SimpleNamespace, actor: Actor = ALL, **asked: object) -> list[str]:
    query = MeterQuery(**asked)  # type: ignore[arg-type]
    return [row.id for row in meter_list.page(sources, actor, query).rows]


async def test_the_extent_holds_all_that_have_coordinates_and_only_what_one_sees(sources):
    assert await Geography(sources).extent(ALL) == Box(48.10, 11.50, 52.51, 13.41)
    assert await Geography(sources).extent(NORTH) == Box(52.50, 13.40, 52.51, 13.41)


async def test_a_cell_counts_each_meter_once_by_what_is_worst_with_it(sources):
    clusters = await Geography(sources).clusters(ALL, WHOLE, 2.0)
    by_count = {each.count: each for each in clusters}
    assert (by_count[2].critical, by_count[2].warning, by_count[2].silent) == (1, 0, 1)
    assert by_count[2].meter is None
    assert by_count[1].meter == "M3"
    assert sum(each.count for each in await Geography(sources).clusters(NORTH, WHOLE, 2.0)) == 2


async def test_a_box_and_a_feeder_narrow_what_is_counted_and_listed(sources):
    near = MeterQuery(box=(52.505, 13.0, 53.0, 14.0))
    (one,) = await Geography(sources).clusters(ALL, near, 1.0)
    assert one.meter == "M2"
    assert found(sources, box=near.box) == ["M2"]
    assert found(sources, feeder="a") == ["M1", "M2"]
    assert found(sources, feeder="t1") == ["M2"]
    assert found(sources, NORTH, feeder="a", firmware="2.9.1") == ["M2"]


async def test_branches_say_how_many_hang_there_and_what_is_wrong(sources):
    branches = {each.id: each for each in await Geography(sources).branches(ALL)}
    assert (branches["f1"].count, branches["f1"].critical) == (1, 1)
    assert (branches["t1"].count, branches["t1"].silent) == (1, 1)
    assert branches["a"].count == 0
    (spot,) = await Geography(sources).gateways(ALL)
    assert (spot.id, spot.state) == ("gw-1", "online")


async def test_what_is_not_in_service_is_on_no_map_and_silent_nowhere(tmp_path, sources):
    engine = create_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    RegistryBase.metadata.create_all(engine)
    with writing(engine) as session:
        fill(session)
        session.add(Gateway(id="gw-gone", latitude=1.0, longitude=1.0, deleted_at=NOW))
        session.add(Gateway(id="gw-to-be", latitude=1.0, longitude=1.0, life="planned"))
        for name, life, gone_at in (("P1", "planned", None), ("D1", "stock", NOW)):
            row = meter(name, (-70.0, -170.0), "north", 99.0, "2.10.0")
            row.life, row.deleted_at, row.last_contact_at = life, gone_at, None
            session.add(row)
            session.flush()
            session.add(ElementMeter(element="f1", meter=name, from_at=NOW, role="customer"))
    geography = Geography(SimpleNamespace(**vars(sources) | {"registry": engine}))
    assert await geography.extent(ALL) == Box(48.10, 11.50, 52.51, 13.41)
    assert [each.id for each in await geography.gateways(ALL)] == ["gw-1"]
    feeder = next(each for each in await geography.branches(ALL) if each.id == "f1")
    assert (feeder.count, feeder.silent) == (1, 0)
    engine.dispose()


async def test_branches_of_an_area_are_those_that_lead_to_its_meters(sources):
    seen = await Geography(sources).branches(NORTH)
    assert [each.id for each in seen] == ["a", "f1", "t1"]
    south = Actor("sue", Role.VIEWER, areas=("south",))
    seen = await Geography(sources).branches(south)
    assert [(each.id, each.count) for each in seen] == [("s1", 1)]


def test_long_silence_and_old_firmware_are_views_of_the_list(sources):
    assert found(sources, silent_for_h=24) == ["M2", "M4"]
    assert found(sources, old_firmware=True) == ["M2"]  # 2.10 is later than 2.9; "other 1" unknown
    assert found(sources, model="SIM-3P", area="south") == ["M3", "M4"]
