"""REST of what people decide, over the real application and the authority's own loop."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest
from hesper_cloud import provision
from hesper_cloud.app import create_app
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import DisconnectBudget, Policy
from hesper_cloud.db.decisions import SecondFactor
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore

METER = "HES12642984"
PASSWORDS = {
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
    "dora": "third-pair-of-eyes",
}
PREFIX = "http://hesper.test/api/v1"


def use(head_end: Any, **changes: Any) -> None:
    document = Policy(hours=EVER, **changes).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "test", document)


@pytest.fixture
def web() -> dict[str, int]:
    """Settings of the web process that a test changes."""
    return {}


@pytest.fixture
async def client(head_end, deciding, web) -> AsyncIterator[httpx.AsyncClient]:
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, METER).relay_confirmed_at = head_end.clock.now
    use(head_end)
    settings = head_end.settings
    settings = settings.model_copy(update={"web": settings.web.model_copy(update=web)})
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
    app = create_app(assemble(sources, lambda: 0.0), settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=PREFIX) as client:
        yield client
    store.close()
    read_only.dispose()


async def log_in(client: httpx.AsyncClient, who: str, code: str = "") -> httpx.Response:
    body = {"username": who, "password": PASSWORDS[who], "code": code}
    answer = await client.post("/auth/login", json=body)
    client.cookies.clear()
    return answer


async def bearer(client: httpx.AsyncClient, who: str) -> dict[str, str]:
    answer = await log_in(client, who)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def enrolled(
    head_end: Any, client: httpx.AsyncClient, who: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """Give an account a factor as its person does; return the session and what was shown."""
    session = await bearer(client, who)
    shown = (await client.post("/auth/factor/new", headers=session)).json()
    assert shown["uri"].startswith("otpauth://totp/Hesper:")
    body = {
        "password": PASSWORDS[who],
        "secret": shown["secret"],
        "recovery_codes": shown["recovery_codes"],
        "first_code": code_of(head_end, shown, -30),
    }
    answer = await client.put("/auth/factor", json=body, headers=session)
    assert answer.status_code == 204, answer.text
    return session, shown


def code_of(head_end: Any, shown: dict[str, Any], later_s: int = 0) -> str:
    return pyotp.TOTP(shown["secret"]).at(head_end.clock.now + timedelta(seconds=later_s))


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


async def test_a_login_asks_for_the_code_and_takes_it_once(client, head_end):
    session, shown = await enrolled(head_end, client, "ben")
    assert (await client.get("/auth/factor", headers=session)).json() == {"enrolled": True}
    without = await log_in(client, "ben")
    assert (without.status_code, "second factor" in without.json()["detail"]) == (401, True)
    assert (await log_in(client, "ben", "000000")).status_code == 401
    code = code_of(head_end, shown)
    assert (await log_in(client, "ben", code)).status_code == 200
    assert (await log_in(client, "ben", code)).status_code == 401
    assert (await log_in(client, "ben", shown["recovery_codes"][0])).status_code == 200
    assert (await log_in(client, "ben", shown["recovery_codes"][0])).status_code == 401


async def test_an_approval_takes_the_code(client, head_end):
    asked = {"meter": METER, "action": "disconnect", "reason": "unpaid", "serial_tail": METER[-4:]}
    ann = await bearer(client, "ann")
    command = (await client.post("/commands", json=asked, headers=ann | key())).json()["id"]
    ben, shown = await enrolled(head_end, client, "ben")
    alone = {"password": PASSWORDS["ben"]}
    refused = await client.post(f"/commands/{command}/approve", json=alone, headers=ben)
    assert refused.status_code == 409
    both = alone | {"code": code_of(head_end, shown)}
    answer = await client.post(f"/commands/{command}/approve", json=both, headers=ben)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] in {"queued", "sent"}


async def test_two_release_what_is_quarantined(client, head_end):
    use(head_end, disconnects=DisconnectBudget(quarantine_above=0))
    asked = {"meter": METER, "action": "disconnect", "reason": "unpaid", "serial_tail": METER[-4:]}
    ann, ben, dora = [await bearer(client, who) for who in ("ann", "ben", "dora")]
    command = (await client.post("/commands", json=asked, headers=ann | key())).json()["id"]
    passwords = [{"password": PASSWORDS[who]} for who in ("ben", "dora")]
    path = f"/commands/{command}"
    held = await client.post(f"{path}/approve", json=passwords[0], headers=ben)
    assert held.json()["state"] == "quarantined"
    assert (await client.get("/commands", params={"state": "open"}, headers=ann)).json()
    first = await client.post(f"{path}/release", json=passwords[0], headers=ben)
    assert first.json()["state"] == "quarantined"
    second = await client.post(f"{path}/release", json=passwords[1], headers=dora)
    assert second.json()["state"] in {"queued", "sent"}


async def test_the_glass_is_broken_and_reviewed(client, head_end):
    ann, shown = await enrolled(head_end, client, "ann")
    with writing(head_end.databases.authority) as session:
        session.get_one(SecondFactor, "ann").enrolled_at -= timedelta(days=1)
    body = {
        "meter": METER,
        "reason": "house on fire",
        "serial_tail": METER[-4:],
        "password": PASSWORDS["ann"],
        "code": code_of(head_end, shown),
    }
    made = await client.post("/break-glass", json=body, headers=ann | key())
    assert made.status_code == 201, made.text
    command = made.json()["id"]
    ben = await bearer(client, "ben")
    unreviewed = {"unreviewed": True}
    [use_] = (await client.get("/break-glass", params=unreviewed, headers=ben)).json()
    told = (use_["command"], use_["meter"], use_["username"], use_["reviewed_by"])
    assert told == (command, METER, "ann", None)
    review = {"verdict": "justified", "reason": "it burned", "password": PASSWORDS["ben"]}
    path = f"/break-glass/{command}/review"
    assert (await client.post(path, json=review, headers=ann)).status_code == 403
    assert (await client.post(path, json=review, headers=ben)).status_code == 204
    assert (await client.get("/break-glass", params=unreviewed, headers=ben)).json() == []


class TestBudgetAtTheDoor:
    """The web process refuses by itself, with the lowest of its own limits and the policy's."""

    @pytest.fixture
    def web(self) -> dict[str, int]:
        return {"disconnects_per_hour": 0}

    async def test_its_own_limit_counts(self, client, head_end):
        ann = await bearer(client, "ann")
        asked = {"meter": METER, "action": "disconnect", "reason": "x x", "serial_tail": "2984"}
        refused = await client.post("/commands", json=asked, headers=ann | key())
        assert refused.status_code == 409
        assert "budget of 0 disconnects an hour" in refused.json()["detail"]
        assert head_end.commands() == []
        other = asked | {"action": "reconnect"}
        assert (await client.post("/commands", json=other, headers=ann | key())).status_code == 201


async def test_the_policys_limit_counts_at_the_door_too(client, head_end):
    use(head_end, disconnects=DisconnectBudget(per_day=0))
    ann = await bearer(client, "ann")
    asked = {"meter": METER, "action": "disconnect", "reason": "x x", "serial_tail": "2984"}
    refused = await client.post("/commands", json=asked, headers=ann | key())
    assert "budget of 0 disconnects a day" in refused.json()["detail"]
    shown = (await client.get("/policy", headers=ann)).json()
    assert shown["disconnects"]["per_day"] == 0
