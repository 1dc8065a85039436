"""A meter's life over REST, from the plan to its removal, and what the authority thinks of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db.authority import AuditRow, Protection
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gap, Meter, PowerLoss
from hesper_cloud.stores.port import Block, Quantity
from sqlalchemy import select

OLD, PROTECTED, NEW, GATEWAY = "HES12642984", "HES12642985", "HES90000001", "gw-1"
ENERGY, PROFILE = "1.0.1.8.0.255", "1.0.99.1.0.255"


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def register(value: int, **more: Any) -> dict[str, Any]:
    return {"value": value, "at": ago(minutes=1).isoformat(), **more}


def sent(meter: str, value: int, at: datetime) -> Block:
    """A row of the load profile, as it comes from the meter."""
    none = np.zeros(1, dtype=np.int64)
    return Block(
        profile=PROFILE,
        quantities=(Quantity(ENERGY, 0, 30),),
        meters=(meter,),
        meter_index=none,
        captured_at=np.array([int(at.timestamp())]),
        clock_status=none,
        quality=none,
        received_at=int(at.timestamp()),
        values=np.array([[value]]),
        missing=None,
    )


def hear(services, meter: str, value: int, at: datetime) -> None:
    block = sent(meter, value, at)
    services.sources.latest.take(block, np.ones(1, dtype=bool), int(at.timestamp()))


@pytest.fixture
async def act(client, bearer):
    """Does something with a meter as an operator; the answer, which must have this status."""
    ann = await bearer("ann")

    async def act(meter: str, action: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = await client.post(f"/meters/{meter}/{action}", json=body, headers=ann)
        assert answer.status_code == status, answer.text
        return answer.json()

    act.headers = ann
    return act


def stored(head_end, meter: str) -> Meter:
    with reading(head_end.databases.registry) as session:
        return session.get_one(Meter, meter)


async def test_a_meter_is_planned_stored_installed_and_commissioned(
    client, act, head_end, services
):
    made = await client.post("/meters", json={"id": NEW, "brand": "Sim"}, headers=act.headers)
    assert (made.status_code, made.json()["life"]) == (201, "planned")
    lists = {
        life: (await client.get("/meters", params=params, headers=act.headers)).json()["total"]
        for life, params in {"service": {}, "planned": {"life": "planned"}}.items()
    }
    assert lists == {"service": 2, "planned": 1}
    moved = await client.patch(f"/meters/{NEW}", json={"life": "stock"}, headers=act.headers)
    assert moved.json()["life"] == "stock"
    refused = await act(NEW, "commission", 409, first_read=register(0))
    assert "from there it becomes installed" in refused["detail"]
    card = await act(NEW, "install", gateway=GATEWAY, address="3 Mill lane", latitude=51.3)
    assert (card["life"], card["gateway"], card["address"]) == ("installed", GATEWAY, "3 Mill lane")
    silent = await act(NEW, "commission", 409)
    assert "has sent no register since it was installed" in silent["detail"]
    hear(services, NEW, 7, ago(days=2))  # of before it was installed
    await act(NEW, "commission", 409)
    hear(services, NEW, 12, datetime.now(UTC) + timedelta(seconds=1))
    card = await act(NEW, "commission")
    assert (card["life"], card["version"]) == ("commissioned", 4)
    (first,) = (await client.get(f"/meters/{NEW}/registers", headers=act.headers)).json()
    assert (first["occasion"], first["source"], first["value"]) == ("first", "meter", 12)
    assert stored(head_end, NEW).state == "commissioned"
    history = (await client.get(f"/meters/{NEW}/history", headers=act.headers)).json()
    assert [row["action"] for row in history] == ["commission", "install", "update", "create"]
    assert history[1]["after"]["gateway_id"] == GATEWAY
    with reading(head_end.databases.authority) as session:
        actions = session.scalars(select(AuditRow.action).where(AuditRow.subject.contains(NEW)))
        assert list(actions) == [
            "asset.create",
            "asset.update",
            "meter.install",
            "meter.commission",
        ]


async def test_an_exchange_hands_everything_over(client, bearer, act, head_end, services):
    ann = act.headers
    await client.post("/meters", json={"id": NEW, "life": "stock"}, headers=ann)
    customer = await client.post(
        "/customers", json={"account_number": "1", "name": "Ada", "address": "1 Hill"}, headers=ann
    )
    card = await client.post("/sims", json={"iccid": "8988303000000614225"}, headers=ann)
    links = {"customer_id": customer.json()["id"], "sim_id": card.json()["id"]}
    unknown = await client.patch(f"/meters/{OLD}", json={"iccid": "89"}, headers=ann)
    assert unknown.json()["detail"] == "iccid: there is none 89"
    named = {"account_number": "1", "iccid": "8988303000000614225"}
    linked = await client.patch(f"/meters/{OLD}", json=named, headers=ann)
    assert (linked.json()["customer"], linked.json()["iccid"]) == ("Ada", "8988303000000614225")
    with writing(head_end.databases.registry) as session:
        session.add(Element(id="tr-7", kind="transformer", name="Mill lane"))
        session.add(ElementMeter(element="tr-7", meter=OLD, from_at=ago(days=9), role="customer"))
        session.add(
            Gap(
                meter=OLD, profile=PROFILE, from_at=ago(hours=3), to_at=ago(hours=2),
                expected_count=4, cause="line", state="open", noticed_at=ago(hours=1),
            )
        )  # fmt: skip
    body = {
        "new_meter": NEW,
        "final": register(48_123),
        "initial_register": 5,
        "reason": "display is dark",
    }
    row = await act(OLD, "exchange", 201, **body)
    assert (row["final_register"], row["initial_register"], row["symbol"]) == (48_123, 5, "Wh")
    old, new = stored(head_end, OLD), stored(head_end, NEW)
    assert (old.life, old.gateway_id, old.customer_id, old.sim_id) == ("removed", None, None, None)
    assert (new.life, new.gateway_id, new.customer) == ("installed", GATEWAY, "Ada")
    assert new.sim_id == links["sim_id"]
    with reading(head_end.databases.registry) as session:
        places = session.scalars(select(ElementMeter).order_by(ElementMeter.from_at)).all()
        assert [(each.meter, each.to_at is None) for each in places] == [(OLD, False), (NEW, True)]
        assert places[0].to_at == places[1].from_at == datetime.fromisoformat(body["final"]["at"])
        gap = session.scalars(select(Gap)).one()
        assert (gap.state, gap.reason) == ("given_up", "the meter was removed")
    for meter in (OLD, NEW):
        found = (await client.get(f"/meters/{meter}/exchanges", headers=ann)).json()
        assert [each["id"] for each in found] == [row["id"]]
    again = await act(OLD, "exchange", 409, **body)
    assert "is removed; only one in service is exchanged" in again["detail"]
    head_end.clock.now = datetime.now(UTC)
    gone = head_end.ask_disconnect(meter=OLD)
    assert gone.state == "refused"
    assert "its gateway and logical device name are needed" in gone.outcome["reason"]


async def test_a_meter_that_was_exchanged_is_not_without_power(client, act, head_end):
    await client.post("/meters", json={"id": NEW, "life": "stock"}, headers=act.headers)
    at, unplugged = ago(minutes=2), ago(minutes=1)
    with writing(head_end.databases.registry) as session:
        for meter, lost_at in ((OLD, ago(days=1)), (OLD, unplugged), (PROTECTED, unplugged)):
            session.add(PowerLoss(meter=meter, lost_at=lost_at))
    await act(
        OLD, "exchange", 201, new_meter=NEW, final=register(1) | {"at": at.isoformat()},
        initial_register=0, reason="worn out",
    )  # fmt: skip
    with reading(head_end.databases.registry) as session:
        losses = session.scalars(select(PowerLoss).order_by(PowerLoss.id)).all()
    assert [(each.back_at, each.proof) for each in losses] == [
        (at, "given up"), (unplugged, "given up"), (None, None)
    ]  # fmt: skip


async def test_a_protection_goes_over_to_the_meter_that_takes_the_place(client, act, head_end):
    await client.post("/meters", json={"id": NEW, "life": "stock"}, headers=act.headers)
    await act(
        PROTECTED, "exchange", 201,
        new_meter=NEW, final=register(1), initial_register=0, reason="worn out",
    )  # fmt: skip
    assert stored(head_end, NEW).life_support
    with reading(head_end.databases.authority) as session:
        assert session.get_one(Protection, NEW).cause == "life support"
        assert session.get_one(Protection, PROTECTED).cause == "life support"


async def test_what_commands_are_signed_by_is_not_edited(client, act, head_end):
    before = stored(head_end, OLD)
    for change in (
        {"gateway": "gw-2"},
        {"logical_device_name": "HSP0012649999000"},
        {"life_support": False},
        {"gateway_id": None},
    ):
        answer = await client.patch(f"/meters/{OLD}", json=change, headers=act.headers)
        assert answer.status_code == 400
        assert "commissioning alone" in answer.json()["detail"]
    await act(OLD, "install", 409, gateway="gw-2")
    after = stored(head_end, OLD)
    assert (before.gateway_id, before.logical_device_name, before.version) == (
        after.gateway_id,
        after.logical_device_name,
        after.version,
    )
    guarded = await act(OLD, "protect", reason="a ventilator at home")
    assert guarded["life_support"] is True
    head_end.clock.now = datetime.now(UTC)
    refused = head_end.ask_disconnect(meter=OLD)
    assert refused.outcome["reason"] == "this supply is never cut: life support"


async def test_a_meter_with_a_command_on_its_way_stays_where_it_is(act, head_end):
    head_end.relay_read(True)
    head_end.clock.now = datetime.now(UTC)
    head_end.relay_read(True)
    assert head_end.ask_disconnect().state == "done"
    refused = await act(OLD, "remove", 409, reason="house is pulled down")
    assert refused["detail"].startswith(f"a command for meter {OLD} is ")


async def test_a_removed_meter_can_be_deleted_restored_and_used_again(client, act, head_end):
    in_service = await client.delete(f"/meters/{OLD}", headers=act.headers)
    assert in_service.status_code == 409
    await act(OLD, "remove", reason="house is pulled down", final_read=register(9))
    (final,) = (await client.get(f"/meters/{OLD}/registers", headers=act.headers)).json()
    assert (final["occasion"], final["source"], final["value"]) == ("final", "person", 9)
    assert (await client.delete(f"/meters/{OLD}", headers=act.headers)).status_code == 204
    assert (await client.get(f"/meters/{OLD}", headers=act.headers)).status_code == 404
    assert (await client.post(f"/meters/{OLD}/restore", headers=act.headers)).status_code == 200
    back = await client.patch(f"/meters/{OLD}", json={"life": "stock"}, headers=act.headers)
    assert back.json()["life"] == "stock"


async def test_registers_that_are_none_are_refused(act):
    far = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    for wrong in (
        {"value": 1, "at": far},
        register(1, logical_name="9.9.9.9.9.9"),
    ):
        await act(OLD, "remove", 400, reason="a reason", final_read=wrong)
    await act(OLD, "remove", 422, reason="a reason", final_read=register(-1))
    await act(OLD, "remove", 422, reason="")
    await act("HES0", "remove", 404, reason="a reason")


def test_a_protection_is_added_by_who_may_keep_meters_and_never_changed(head_end):
    def ask(who: str, meter: str, like: str = "") -> Any:
        return head_end.ask(who, "meter.protect", meter=meter, like=like)

    assert ask("vic", NEW).outcome["reason"] == "the role viewer may not edit assets"
    assert ask("ann", NEW, like=OLD).outcome == {"cause": None}  # nothing protects the old one
    assert ask("ann", NEW).outcome == {"cause": "life support"}
    with writing(head_end.databases.authority) as session:
        session.add(Protection(meter=OLD, cause="hospital", added_at=head_end.clock.now))
    assert ask("ann", NEW, like=OLD).outcome == {"cause": "life support"}  # kept as it is
    assert ask("ann", "HES90000002", like=OLD).outcome == {"cause": "hospital"}
    with reading(head_end.databases.authority) as session:
        noted = session.scalars(select(AuditRow).where(AuditRow.action == "meter.protect")).all()
        mine = [(row.subject, row.after, row.why) for row in noted if row.actor == "ann"]
    assert mine == [
        (NEW, "life support", ""),
        ("HES90000002", "hospital", f"in the place of {OLD}"),
    ]
