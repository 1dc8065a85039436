"""Customers, areas, models, tariffs, elements, gateways over REST: versioned, on record."""

from typing import Any

from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Customer, Meter
from sqlalchemy import select

METER = "HES12642984"
ADA = {"account_number": "A-1815", "name": "Ada Byron", "address": "12 Mill lane, Ockham"}


async def make(client, headers, path: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(path, json=fields, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_customer_is_kept_with_versions_and_history(client, bearer, head_end):
    ann = await bearer("ann")
    made = await client.post("/customers", json=ADA | {"phone": "+44 1"}, headers=ann)
    assert made.status_code == 201
    assert made.headers["etag"].startswith('"1')
    number = made.json()["id"]
    shown = await client.get(f"/customers/{number}", headers=ann)
    tag = shown.headers["etag"]
    change = {"phone": None, "email": "ada@example.org"}
    answer = await client.patch(
        f"/customers/{number}", json=change, headers=ann | {"If-Match": tag}
    )
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    late = await client.patch(f"/customers/{number}", json=change, headers=ann | {"If-Match": tag})
    assert late.status_code == 412
    same = await client.patch(f"/customers/{number}", json=change, headers=ann)
    assert same.json()["version"] == 2  # nothing changed, so nothing counts up
    history = (await client.get(f"/customers/{number}/history", headers=ann)).json()
    assert [(row["action"], row["who"]) for row in history] == [
        ("update", "ann"),
        ("create", "ann"),
    ]
    assert (history[0]["before"], history[0]["after"]) == ({"phone": "+44 1"}, change)
    with reading(head_end.databases.authority) as session:
        noted = session.scalars(select(AuditRow).where(AuditRow.action.like("asset.%"))).all()
    assert [row.action for row in noted] == ["asset.create", "asset.update"]
    assert not any("Ada" in str(row.after) for row in noted)  # the log cannot be erased
    assert "email" in str(noted[1].after)


async def test_a_deleted_customer_is_gone_for_lists_and_comes_back(client, bearer, services):
    ann = await bearer("ann")
    number = (await make(client, ann, "/customers", **ADA))["id"]
    assert (await client.delete(f"/customers/{number}", headers=ann)).status_code == 204
    assert (await client.get(f"/customers/{number}", headers=ann)).status_code == 404
    assert (await client.get("/customers", headers=ann)).json()["total"] == 0
    gone = await client.get("/customers", params={"deleted": True}, headers=ann)
    assert [row["name"] for row in gone.json()["rows"]] == ["Ada Byron"]
    again = await client.post("/customers", json=ADA, headers=ann)
    assert again.status_code == 409
    assert "was deleted; restore it" in again.json()["detail"]
    actions = [
        row["action"]
        for row in (await client.get(f"/customers/{number}/history", headers=ann)).json()
    ]
    assert actions == ["delete", "create"]
    back = await client.post(f"/customers/{number}/restore", headers=ann)
    assert (back.status_code, back.json()["deleted_at"]) == (200, None)


async def test_pages_go_by_cursor_in_the_order_asked(client, bearer, services):
    ann = await bearer("ann")
    for each in range(5):
        await make(client, ann, "/customers", account_number=str(each), name=f"N{4 - each}")
    params: dict[str, Any] = {"limit": 2, "sort": "name"}
    names, cursor = [], ""
    while cursor is not None:
        page = (
            await client.get("/customers", params=params | {"cursor": cursor}, headers=ann)
        ).json()
        names += [row["name"] for row in page["rows"]]
        cursor = page["next"]
    assert names == ["N0", "N1", "N2", "N3", "N4"]
    found = await client.get("/customers", params={"search": "n3"}, headers=ann)
    assert [row["account_number"] for row in found.json()["rows"]] == ["1"]
    assert (await client.get("/customers?sort=phone", headers=ann)).status_code == 400


async def test_what_is_named_must_be_there_and_stays_while_it_is_used(client, bearer):
    cleo = await bearer("cleo")
    wrong = await client.post("/customers", json=ADA | {"tariff": "night"}, headers=cleo)
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "tariff: there is no tariff night")
    await make(client, cleo, "/areas", name="south", latitude=51.2, longitude=-0.4)
    await make(client, cleo, "/areas", name="Ockham", parent="south")
    await make(client, cleo, "/tariffs", name="night", description="cheap from 22 h")
    made = await make(client, cleo, "/customers", **ADA, area="Ockham", tariff="night")
    assert (await client.delete("/tariffs/night", headers=cleo)).status_code == 409
    used = await client.delete("/areas/Ockham", headers=cleo)
    assert used.json()["detail"] == "area Ockham is still used: 1 customers"
    assert (await client.delete("/areas/south", headers=cleo)).status_code == 409
    loop = await client.patch("/areas/south", json={"parent": "Ockham"}, headers=cleo)
    assert "below itself" in loop.json()["detail"]
    await client.delete(f"/customers/{made['id']}", headers=cleo)
    assert (await client.delete("/tariffs/night", headers=cleo)).status_code == 204
    history = (await client.get("/tariffs/night/history", headers=cleo)).json()
    assert [row["action"] for row in history] == ["delete", "create"]
    assert history[0]["before"]["description"] == "cheap from 22 h"


async def test_models_elements_and_gateways_are_kept_too(client, bearer):
    cleo = await bearer("cleo")
    model = await make(client, cleo, "/models", brand="Sim", model="one", template="hesper-sim")
    twin = await client.post("/models", json={"brand": "Sim", "model": "one"}, headers=cleo)
    assert twin.status_code == 409
    changed = await client.patch(f"/models/{model['id']}", json={"meter_type": "1ph"}, headers=cleo)
    assert changed.json()["meter_type"] == "1ph"
    await make(client, cleo, "/elements", id="f-1", kind="feeder", name="Mill lane")
    await make(client, cleo, "/elements", id="tr-1", kind="transformer", name="T", parent="f-1")
    assert (await client.delete("/elements/f-1", headers=cleo)).status_code == 409
    assert "tr-1" in (await client.get("/topology", headers=cleo)).text
    place = f"/elements/tr-1/meters/{METER}"
    for body, status in (
        ({"since": "2026-01-01T00:00:00Z"}, 204),
        ({"since": "2026-02-01T00:00:00Z"}, 409),  # it stands there already
    ):
        assert (await client.put(place, json=body, headers=cleo)).status_code == status
    moved = {"since": "2026-03-01T00:00:00Z", "role": "customer"}
    await client.put(f"/elements/f-1/meters/{METER}", json=moved, headers=cleo)
    lines = (await client.get("/topology", headers=cleo)).text.splitlines()
    assert [line.split(",")[3:] for line in lines if line.startswith("meter")] == [
        ["tr-1", "customer", "2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"],
        ["f-1", "customer", "2026-03-01T00:00:00+00:00", ""],
    ]
    until = {"until": "2026-04-01T00:00:00Z"}
    assert (await client.delete(place, params=until, headers=cleo)).status_code == 404
    here = f"/elements/f-1/meters/{METER}"
    assert (await client.delete(here, params=until, headers=cleo)).status_code == 204
    csv = "kind,id,name,parent,role,from,to\nfeeder,f-1,Hill lane,,,,\n"
    assert (await client.put("/topology", content=csv, headers=cleo)).status_code == 200
    history = (await client.get("/elements/f-1/history", headers=cleo)).json()
    assert (history[0]["before"]["name"], history[0]["after"]["name"]) == ("Mill lane", "Hill lane")
    gone = (await client.get("/elements/tr-1/history", headers=cleo)).json()
    assert [row["action"] for row in gone] == ["delete", "create"]
    gateway = await make(client, cleo, "/gateways", id="gw-9", address="Substation 9")
    assert gateway["life"] == "planned"
    leap = await client.patch("/gateways/gw-9", json={"life": "removed"}, headers=cleo)
    assert leap.status_code == 409
    busy = await client.patch("/gateways/gw-1", json={"life": "removed"}, headers=cleo)
    assert busy.json()["detail"] == "gateway gw-1 is still used: 2 meters in service"
    assert (await client.delete("/gateways/gw-9", headers=cleo)).status_code == 204


async def test_firmware_that_was_seen_is_counted(client, bearer, head_end):

    with writing(head_end.databases.registry) as session:
        for row in session.scalars(select(Meter)):
            row.model, row.firmware = "one", "1.2.0"
    found = await client.get("/firmware-versions", headers=await bearer("vic"))
    assert {"type": "meter", "model": "one", "version": "1.2.0", "count": 2} in found.json()


async def test_what_is_injected_stays_text_or_is_refused(client, bearer, head_end):
    ann = await bearer("ann")
    name = "Robert'); DROP TABLE customers;--"
    made = await make(client, ann, "/customers", account_number="<b>1</b>", name=name)
    found = await client.get("/customers", params={"search": "%' OR 1=1 --"}, headers=ann)
    assert found.json()["total"] == 0
    for wrong in ("a\r\nSet-Cookie: x=1", "a\0b"):
        answer = await client.post(
            "/customers", json={"account_number": "2", "name": wrong}, headers=ann
        )
        assert answer.status_code == 400
    for path in ("/customers/0", "/customers/99999999999999999999", "/customers/1%20OR%201=1"):
        assert (await client.get(path, headers=ann)).status_code == 422
    for path in ("/areas/..%2f..%2fetc", "/areas/%00", "/meters/%00/history"):
        assert (await client.get(path, headers=ann)).status_code == 404
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Customer, made["id"]).name == name
