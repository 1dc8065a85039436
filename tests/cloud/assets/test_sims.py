"""SIM cards: their states, where they are, and alarms at the limits of their data."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter, Sim
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.sim_data import SimDataRule
from sqlalchemy import select

METER, OTHER = "HES12642984", "HES12642985"
ICCID, SECOND = "8988303000000614225", "8988303000000614233"


@pytest.fixture
async def sims(client, bearer):
    """A card of an operator, and how to change it."""
    ann = await bearer("ann")
    made = await client.post("/sims", json={"iccid": ICCID, "msisdn": "+44770090"}, headers=ann)
    assert made.status_code == 201, made.text

    async def change(status: int = 200, **fields: Any) -> dict[str, Any]:
        answer = await client.patch(f"/sims/{made.json()['id']}", json=fields, headers=ann)
        assert answer.status_code == status, answer.text
        return answer.json()

    change.headers, change.id = ann, made.json()["id"]
    return change


async def test_a_card_goes_from_stock_to_its_end(sims, client):
    assert (await sims(409, state="suspended"))["detail"].startswith("sim ")
    active = await sims(state="active")
    assert active["activation_date"] == datetime.now(UTC).date().isoformat()
    await sims(state="suspended")
    assert (await client.delete(f"/sims/{sims.id}", headers=sims.headers)).status_code == 409
    await sims(meter=METER)
    assert "take it out first" in (await sims(409, state="retired"))["detail"]
    await sims(meter=None)
    await sims(state="retired")
    await sims(409, state="active")
    assert "is retired" in (await sims(409, meter=METER))["detail"]
    assert (await client.delete(f"/sims/{sims.id}", headers=sims.headers)).status_code == 204


async def test_card_and_meter_name_each_other(sims, client, head_end):
    await sims(meter=METER)
    second = await client.post("/sims", json={"iccid": SECOND}, headers=sims.headers)
    taken = await client.patch(
        f"/sims/{second.json()['id']}", json={"meter": METER}, headers=sims.headers
    )
    assert f"meter {METER} holds SIM card {ICCID}" in taken.json()["detail"]
    for elsewhere in ({"meter": OTHER}, {"gateway": "gw-1"}):
        assert "take it out" in (await sims(409, **elsewhere))["detail"]
    body = {"sim_id": second.json()["id"]}
    answer = await client.patch(f"/meters/{METER}", json=body, headers=sims.headers)
    assert answer.json()["iccid"] == SECOND
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Meter, METER).sim_id == second.json()["id"]
        cards = session.scalars(select(Sim).order_by(Sim.id)).all()
        assert [card.meter for card in cards] == [None, METER]
    history = (await client.get(f"/sims/{sims.id}/history", headers=sims.headers)).json()
    assert [(row["before"], row["after"]) for row in history[:2]] == [
        ({"meter": METER}, {"meter": None}),
        ({}, {"meter": METER}),
    ]
    for loose in range(2):
        await client.post(
            "/sims", json={"iccid": f"898830300000061{loose:04}"}, headers=sims.headers
        )
    await sims(gateway="gw-1")
    shown = await client.get("/gateways/gw-1", headers=sims.headers)
    assert shown.json()["sims"] == [ICCID]


async def test_the_same_number_is_given_once(sims, client):
    for twin in ({"iccid": ICCID}, {"iccid": SECOND, "msisdn": "+44770090"}):
        answer = await client.post("/sims", json=twin, headers=sims.headers)
        assert answer.status_code == 409
    await sims(400, iccid="123")


async def test_limits_of_data_alarm_and_clear(sims, services, head_end):
    sources = services.sources
    rule = SimDataRule(sources.registry, Alerts(sources.registry, sources.clock), sources.clock)

    def standing() -> list[tuple[str, str, str | None]]:
        rule.check()
        rule.check()
        with reading(sources.registry) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return [(row.rule, row.severity, row.meter) for row in rows]

    await sims(state="active", meter=METER, data_limit_mb=100, data_used_mb=79)
    assert standing() == []
    await sims(data_used_mb=80)
    assert standing() == [(f"sim-data-near/{ICCID}", "warning", METER)]
    await sims(data_used_mb=100)
    assert standing() == [(f"sim-data-limit/{ICCID}", "critical", METER)]
    await sims(data_used_mb=3)  # a new month
    assert standing() == []
