"""What is not in service is not expected to say anything; what is heard is in service."""

from datetime import timedelta

import pytest
from hesper_cloud.assets import keeping
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import GATEWAY, METER
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Area, AssetChange, Gateway, Meter
from hesper_cloud.gaps.meters import fleet
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.ingest.identified import event_stored
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.stores.port import CommittedRows
from hesper_contracts.events import Event
from sqlalchemy import select

ONE, STORED = "HES12642984", "HES90000001"


@pytest.fixture
def registry(head_end):
    """One meter in stock beside those in service."""
    by = By("ann", head_end.clock.now)
    with writing(head_end.databases.registry) as session:
        keeping.create(session, METER, {"id": STORED, "life": "stock"}, by)
    return head_end.databases.registry


def open_alerts(registry) -> set[str | None]:
    with reading(registry) as session:
        return set(session.scalars(select(Alert.meter).where(Alert.state != "cleared")))


def test_stock_is_not_silent_and_removal_ends_the_alert(registry, head_end, clock):
    alerts = Alerts(registry, clock)
    rule = SilenceRule(registry, alerts, head_end.settings.rules, clock)
    clock.now += timedelta(days=3)
    rule.check()
    assert ONE in open_alerts(registry)
    assert STORED not in open_alerts(registry)
    with reading(registry) as session:
        assert STORED not in {meter.id for meter in fleet(session)}
    with writing(registry) as session:
        session.get_one(Meter, ONE).life = "removed"
    rule.check()
    assert ONE not in open_alerts(registry)


def test_a_gateway_that_was_removed_is_not_missed(registry, head_end, clock):
    rule = SilenceRule(registry, Alerts(registry, clock), head_end.settings.rules, clock)
    with writing(registry) as session:
        for life in ("installed", "removed"):
            session.add(
                Gateway(id=f"gw-{life}", state="offline", life=life, first_seen_at=clock.now)
            )
    clock.now += timedelta(seconds=60)
    for _ in range(2):
        rule.check()
    with reading(registry) as session:
        assert session.scalars(select(Alert.gateway)).all() == ["gw-installed"]


def rows_of(meter: str, gateway: str, at: int) -> CommittedRows:
    import numpy as np
    from hesper_cloud.stores.port import Block, Quantity

    none = np.zeros(1, dtype=np.int64)
    block = Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity("1.0.1.8.0.255", 0, 30),),
        meters=(meter,),
        meter_index=none,
        captured_at=np.array([at]),
        clock_status=none,
        quality=none,
        received_at=at,
        values=np.array([[1]]),
        missing=None,
    )
    return CommittedRows(gateway, block, np.ones(1, dtype=bool), at)


@pytest.mark.parametrize("deleted", [False, True])
def test_a_stored_meter_that_is_heard_is_installed(registry, clock, deleted):
    if deleted:
        with writing(registry) as session:
            session.get_one(Meter, STORED).deleted_at = clock.now
    contacts = Contacts(registry)
    contacts.rows_committed(rows_of(STORED, "gw-1", int(clock.now.timestamp())))
    contacts.flush(at_once=True)
    with reading(registry) as session:
        row = session.get_one(Meter, STORED)
        assert (row.life, row.gateway_id, row.deleted_at) == ("installed", "gw-1", None)
        change = session.scalars(select(AssetChange).where(AssetChange.action == "install")).one()
        assert (change.who, change.asset) == ("head end", STORED)


def test_a_meter_that_tells_its_name_is_installed_unless_it_was_removed(registry, clock):
    told = {"logical_device_name": "HSP9", "model": "one"}

    def tell(meter: str) -> None:
        event = Event(
            id=f"e-{meter}", code="meter.identified", severity="info", occurred_at=clock.now,
            text="", meter=meter, attributes=told,
        )  # fmt: skip
        with writing(registry) as session:
            event_stored(session, "gw-1", event)

    with writing(registry) as session:
        row = session.get_one(Meter, ONE)
        row.life, row.gateway_id, row.logical_device_name = "removed", None, None
    for meter in (STORED, ONE):
        tell(meter)
    with reading(registry) as session:
        found = session.get_one(Meter, STORED)
        assert (found.life, found.logical_device_name) == ("installed", "HSP9")
        gone = session.get_one(Meter, ONE)
        assert (gone.life, gone.gateway_id, gone.logical_device_name) == ("removed", None, None)


def test_commissioning_on_the_machine_leaves_its_history_and_areas(registry, head_end):
    paper = MeterPaper(id=STORED, gateway="gw-1", area="east", model="one")
    for _ in range(2):
        commission(head_end.databases, [paper])
    with reading(registry) as session:
        row = session.get_one(Meter, STORED)
        assert (row.life, row.state, row.version) == ("commissioned", "commissioned", 2)
        assert session.get(Area, "east") is not None
        changes = select(AssetChange).where(AssetChange.action == "commission")
        (change,) = session.scalars(changes.where(AssetChange.asset == STORED)).all()
        assert change.who.startswith("operator:")
        assert change.after["gateway_id"] == "gw-1"


def test_a_planned_gateway_that_reports_is_installed(registry, clock):
    from hesper_cloud.assets.arrivals import gateway_heard

    with writing(registry) as session:
        keeping.create(session, GATEWAY, {"id": "gw-9", "life": "planned"}, By("ann", clock.now))
        gateway_heard(session, session.get_one(Gateway, "gw-9"), clock.now)
    with reading(registry) as session:
        assert session.get_one(Gateway, "gw-9").life == "installed"
