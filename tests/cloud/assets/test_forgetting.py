"""A person's words go out of customers, meters and histories; what happened stays on record."""

import json

from hesper_cloud.assets import keeping
from hesper_cloud.assets.exchange import exchange
from hesper_cloud.assets.forgetting import forget_customer, forget_household
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import CUSTOMER, METER
from hesper_cloud.assets.service_life import Register
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import AssetChange, Customer, Meter
from sqlalchemy import select

ONE, TWO, NEW = "HES12642984", "HES12642985", "HES90000001"
WORDS = ("Lovelace", "Mill lane", "+44 7700", "A-1815")


def a_customer(session, by: By, *meters: str) -> int:
    values = {"name": "Ada Lovelace", "address": "12 Mill lane", "phone": "+44 7700"}
    row = keeping.create(session, CUSTOMER, values | {"account_number": "A-1815"}, by)
    for meter in meters:
        change = {"customer_id": row.id, "address": "12 Mill lane"}
        keeping.change(session, METER, session.get_one(Meter, meter), change, by)
    return row.id


def told(session) -> str:
    rows = session.scalars(select(AssetChange)).all()
    return json.dumps([[row.before, row.after] for row in rows])


def test_a_household_is_forgotten_and_its_customer_with_the_last_meter(head_end, clock):
    by = By("ann", clock.now)
    with writing(head_end.databases.registry) as session:
        number = a_customer(session, by, ONE, TWO)
        assert forget_household(session, ONE, clock.now) == number
        assert session.get_one(Customer, number).name == "Ada Lovelace"
        assert forget_household(session, TWO, clock.now) is None
    with reading(head_end.databases.registry) as session:
        row = session.get_one(Customer, number)
        assert (row.name, row.address, row.deleted_at) == ("(erased)", None, clock.now)
        for meter in session.scalars(select(Meter)):
            assert (meter.customer, meter.customer_id, meter.address) == (None, None, None)
        history = told(session)
        assert not any(word in history for word in WORDS)
        assert "(erased)" in history


def test_a_customer_is_forgotten_at_meters_that_were_exchanged_too(head_end, clock):
    by = By("ann", clock.now, "worn out")
    with writing(head_end.databases.registry) as session:
        number = a_customer(session, by, ONE)
        new = keeping.create(session, METER, {"id": NEW, "life": "stock"}, by)
        shown = [Register("1.0.1.8.0.255", n, 0, 30, clock.now, "person") for n in (7, 0)]
        exchange(session, session.get_one(Meter, ONE), new, *shown, by)
        assert "Lovelace" in told(session)
        forget_customer(session, number, clock.now)
    with reading(head_end.databases.registry) as session:
        assert not any(word in told(session) for word in WORDS)
        assert session.get_one(Meter, NEW).customer is None
