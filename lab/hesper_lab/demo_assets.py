"""Customers behind a site's meters, and SIM cards in its gateways, as a company would keep them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from hesper_cloud.assets import keeping
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import CUSTOMER, METER, MODEL, SIM, TARIFF
from hesper_cloud.commissioning import MeterPaper
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Customer, Meter
from hesper_cloud.provision import Databases
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_lab import demo_places

MOST_METERS = 500
"""A larger site is there to be measured, not to be looked at."""
_TARIFFS = {"Household": "one price", "Day and night": "cheaper from 22:00 to 06:00"}
_CARRIER = "89445"


def enter(
    databases: Databases,
    papers: Sequence[MeterPaper],
    gateways: Sequence[str],
    feeders: Mapping[str, int],
) -> None:
    """Enters customers, tariffs, a model, SIM cards, and where all that stands, once, into a site
    that is looked at.
    """
    by = By("hesper-lab", datetime.now(UTC), "a site to look at")
    if len(papers) > MOST_METERS:
        return
    with writing(databases.registry) as session:
        if session.scalar(select(func.count()).select_from(Customer)):
            return
        for name, description in _TARIFFS.items():
            keeping.create(session, TARIFF, {"name": name, "description": description}, by)
        model = {"brand": "Hesper", "model": "Simulated", "template": "hesper-sim"}
        keeping.create(session, MODEL, model, by)
        for number, paper in enumerate(papers, start=1):
            if paper.customer is not None:
                _customer(session, number, paper, by)
        for number, gateway in enumerate(gateways, start=1):
            _card(session, number, gateway, by)
        demo_places.enter(session, papers, feeders, by)


def _customer(session: Session, number: int, paper: MeterPaper, by: By) -> None:
    tariffs = list(_TARIFFS)
    values = {
        "account_number": f"4{number:05d}",
        "name": paper.customer,
        "address": paper.address,
        "area": paper.area,
        "customer_type": "household",
        "tariff": tariffs[number % len(tariffs)],
        "connection_date": date(2020 + number % 6, 1 + number % 12, 1),
    }
    row = keeping.create(session, CUSTOMER, values, by)
    meter = session.get_one(Meter, paper.id)
    keeping.change(session, METER, meter, {"customer_id": row.id, "brand": "Hesper"}, by)


def _card(session: Session, number: int, gateway: str, by: By) -> None:
    values = {
        "iccid": f"{_CARRIER}{number:014d}",
        "msisdn": f"+44770090{number:04d}",
        "provider": "Example Mobile",
        "apn": "meters.example",
        "state": "active",
        "data_limit_mb": 500,
        "data_used_mb": 40 + 37 * number % 300,
        "gateway": gateway,
    }
    keeping.create(session, SIM, values, by)
