"""Who may call what: every route of the API, tried by everybody.

The routes, their parameters and their bodies come from the API's own description; what the table
below adds is one decision for each route. A route that is not in it fails, so nobody can forget.
"""

import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from api_calls import PREFIX, described, routes
from hesper_cloud.accounts import tokens
from hesper_cloud.accounts.roles import Permission, Role, granted
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.authority import ApiToken, User
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore

PEOPLE = {
    "vic": ("viewer", "viewing-only-1"),
    "ann": ("operator", "asking-politely-1"),
    "ben": ("approver", "second-pair-of-eyes"),
    "cleo": ("admin", "keeper-of-the-house"),
}
ORDER = [role for role, _ in PEOPLE.values()]
# The weakest role that may; "anyone" with an account, "open" without one, "machine": no person.
TABLE = {
    "POST /auth/login": "open",
    "POST /auth/logout": "open",
    "POST /enrolment": "open",  # a token of its own
    "GET /auth/me": "anyone",
    "GET /auth/factor": "anyone",
    "PUT /auth/factor": "anyone",
    "POST /auth/factor/new": "anyone",
    "PUT /auth/password": "anyone",
    "GET /auth/account": "anyone",
    "GET /tokens": "anyone",
    "POST /tokens": "anyone",
    "DELETE /tokens/{token_id}": "anyone",
    "GET /sessions": "anyone",
    "DELETE /sessions/{session_id}": "anyone",
    "POST /auth/token": "anyone",  # of an API token
    "GET /users": "admin",
    "GET /users/{username}": "admin",
    "POST /users": "admin",
    "PATCH /users/{username}": "admin",
    "POST /users/{username}/password": "admin",
    "POST /users/{username}/unlock": "admin",
    "POST /users/{username}/factor/drop": "admin",
    "PUT /topology": "admin",
    "POST /series/{name}": "operator",
    "POST /commands": "operator",
    "POST /commands/{command_id}/cancel": "operator",
    "POST /tunnels": "operator",
    "POST /break-glass": "operator",
    "POST /firmware/images": "operator",
    "PUT /firmware/images/{image_hash}": "operator",
    "PUT /firmware/images/{image_hash}/changelog": "operator",
    "POST /firmware/campaigns": "operator",
    "POST /firmware/campaigns/{campaign}/activation": "operator",
    "POST /campaigns": "operator",
    "PUT /meters/{meter_id}/settings": "operator",
    "PUT /schedules/{name}": "operator",
    "POST /schedules/{name}/assignments": "operator",
    "DELETE /schedules/assignments/{assignment_id}": "operator",
    "POST /schedules/{name}/send": "operator",
    "PUT /templates/{name}": "operator",
    "POST /templates/{name}/assignments": "operator",
    "DELETE /templates/assignments/{assignment_id}": "operator",
    "POST /campaigns/{campaign}/activation": "operator",
    "POST /meters/{meter_id}/read": "operator",
    "POST /meters/{meter_id}/connect": "operator",
    "POST /meters/{meter_id}/disconnect": "operator",
    "POST /meters/data-ingestion": "machine",
    "POST /batches": "operator",
    "PUT /kill-switch": "operator",
    "POST /alerts/{alert_id}/acknowledge": "operator",
    "POST /alerts/{alert_id}/shelve": "operator",
    "POST /alerts/{alert_id}/unshelve": "operator",
    "POST /alerts/{alert_id}/assign": "operator",
    "POST /alerts/{alert_id}/notes": "operator",
    "POST /alerts/selections": "operator",
    "GET /delivery/targets": "approver",
    "GET /delivery/routes": "approver",
    "GET /delivery/log": "approver",
    "GET /delivery/log/{delivery_id}/attempts": "approver",
    "POST /delivery/targets": "admin",
    "PUT /delivery/targets/{target_id}": "admin",
    "DELETE /delivery/targets/{target_id}": "admin",
    "POST /delivery/targets/{target_id}/test": "admin",
    "POST /delivery/routes": "admin",
    "PUT /delivery/routes/{route_id}": "admin",
    "DELETE /delivery/routes/{route_id}": "admin",
    "POST /alerts/selections/{selection_id}": "operator",
    "POST /customers": "operator",
    "PATCH /customers/{customer_id}": "operator",
    "DELETE /customers/{customer_id}": "operator",
    "POST /customers/{customer_id}/restore": "operator",
    "POST /sims": "operator",
    "PATCH /sims/{sim_id}": "operator",
    "DELETE /sims/{sim_id}": "operator",
    "POST /sims/{sim_id}/restore": "operator",
    "POST /meters": "operator",
    "PATCH /meters/{meter_id}": "operator",
    "DELETE /meters/{meter_id}": "operator",
    "POST /meters/{meter_id}/restore": "operator",
    "POST /gateways": "operator",
    "PATCH /gateways/{gateway_id}": "operator",
    "DELETE /gateways/{gateway_id}": "operator",
    "POST /gateways/{gateway_id}/restore": "operator",
    "POST /meters/{meter_id}/install": "operator",
    "POST /meters/{meter_id}/commission": "operator",
    "POST /meters/{meter_id}/exchange": "operator",
    "POST /meters/{meter_id}/remove": "operator",
    "POST /meters/{meter_id}/protect": "operator",
    "POST /areas": "admin",
    "PATCH /areas/{area}": "admin",
    "DELETE /areas/{area}": "admin",
    "POST /models": "admin",
    "PATCH /models/{model_id}": "admin",
    "DELETE /models/{model_id}": "admin",
    "POST /tariffs": "admin",
    "PATCH /tariffs/{tariff}": "admin",
    "DELETE /tariffs/{tariff}": "admin",
    "POST /elements": "admin",
    "PUT /elements/{element_id}/meters/{meter_id}": "admin",
    "DELETE /elements/{element_id}/meters/{meter_id}": "admin",
    "PATCH /elements/{element_id}": "admin",
    "DELETE /elements/{element_id}": "admin",
    "POST /customers/import": "operator",
    "POST /meters/import": "operator",
    "POST /sims/import": "operator",
    "POST /sims/use/import": "operator",
    "GET /imports/{import_id}/changes": "operator",
    "GET /imports": "operator",
    "GET /imports/{import_id}": "operator",
    "GET /imports/{import_id}/problems": "operator",
    "GET /imports/{import_id}/rejected.csv": "operator",
    "POST /imports/{import_id}/apply": "operator",
    "POST /jobs/{job_id}/cancel": "operator",
    "POST /jobs/{job_id}/resume": "operator",
    "POST /reports": "operator",
    "POST /reports/schedules": "operator",
    "PUT /reports/schedules/{schedule_id}": "operator",
    "DELETE /reports/schedules/{schedule_id}": "operator",
    "POST /readings/edits": "approver",
    "PUT /rules/{rule}": "approver",
    "DELETE /rules/{rule}": "approver",
    "POST /rules/{rule}/state": "approver",
    "POST /rules/{rule}/try": "approver",
    "POST /rules/try": "approver",
    "POST /readings/edits/{edit_id}/withdraw": "approver",
    "POST /commands/{command_id}/approve": "approver",
    "POST /commands/{command_id}/reject": "approver",
    "POST /commands/{command_id}/release": "approver",
    "POST /break-glass/{command_id}/review": "approver",
    "POST /batches/{batch_id}/{verb}": "approver",
    "POST /firmware/campaigns/{batch}/{verb}": "approver",
    "POST /campaigns/{batch}/{verb}": "approver",
    "GET /audit": "approver",
    "GET /audit/verify": "approver",
    "GET /access-log": "approver",
} | dict.fromkeys(
    [
        "GET /readings/validated",
        "GET /meters/{meter_id}/quality",
        "GET /meters/{meter_id}/voltage-weeks",
        "GET /quality",
        "GET /meters/{meter_id}/checks",
        "GET /readings/edits",
        "GET /meters",
        "GET /meters/{meter_id}",
        "GET /meters/{meter_id}/latest",
        "GET /meters/{meter_id}/series",
        "GET /meters/{meter_id}/gaps",
        "GET /meters/{meter_id}/events",
        "GET /readings",
        "GET /readings/export",
        "GET /meters/{meter_id}/aggregates",
        "GET /meters/{meter_id}/bill",
        "GET /elements/{element_id}/balance",
        "GET /topology",
        "GET /series",
        "GET /readings/changes",
        "GET /exports/readings",
        "GET /exports/runs",
        "GET /firmware/images",
        "GET /firmware/campaigns",
        "GET /firmware/campaigns/{campaign}",
        "GET /campaigns",
        "GET /campaigns/{campaign}",
        "GET /meters/{meter_id}/readings",
        "GET /consumption",
        "GET /meters/{meter_id}/settings",
        "GET /schedules",
        "GET /schedules/states",
        "GET /schedules/assignments",
        "GET /schedules/{name}",
        "GET /templates",
        "GET /templates/states",
        "GET /templates/assignments",
        "GET /templates/{name}",
        "GET /approvals",
        "GET /dashboard/stats",
        "GET /gaps",
        "GET /backfills",
        "GET /meters/{meter}/profiles",
        "GET /service-levels",
        "GET /service-levels/{level}",
        "GET /service-levels/{level}/misses",
        "GET /commands",
        "GET /commands/{command_id}",
        "GET /commands/{command_id}/conversation",
        "GET /kill-switch",
        "GET /break-glass",
        "GET /policy",
        "GET /batches",
        "GET /batches/{batch_id}",
        "GET /batches/{batch_id}/rows",
        "GET /batches/{batch_id}/excluded",
        "GET /batches/{batch_id}/rows.csv",
        "GET /overview",
        "GET /overview/load",
        "GET /overview/completeness",
        "GET /overview/attention",
        "GET /gateways",
        "GET /alerts",
        "GET /alerts/rates",
        "GET /alerts/{alert_id}",
        "GET /events",
        "GET /events/catalogue",
        "GET /outages",
        "GET /outages/{outage_id}",
        "GET /rules",
        "GET /rules/{rule}",
        "GET /rules/{rule}/versions",
        "GET /rules/{rule}/trial",
        "GET /dead-letters",
        "GET /jobs",
        "GET /jobs/{job_id}",
        "GET /templates/customers",
        "GET /templates/meters",
        "GET /templates/simcards",
        "GET /templates/simuse",
        "GET /reports",
        "GET /reports/kinds",
        "GET /reports/schedules",
        "GET /reports/schedules/{schedule_id}",
        "GET /reports/{report_id}",
        "GET /reports/{report_id}/file",
        "GET /customers",
        "GET /customers/{customer_id}",
        "GET /customers/{customer_id}/history",
        "GET /sims",
        "GET /sims/{sim_id}",
        "GET /sims/{sim_id}/history",
        "GET /areas",
        "GET /areas/{area}",
        "GET /areas/{area}/history",
        "GET /models",
        "GET /models/{model_id}",
        "GET /models/{model_id}/history",
        "GET /tariffs",
        "GET /tariffs/{tariff}",
        "GET /tariffs/{tariff}/history",
        "GET /elements",
        "GET /elements/{element_id}",
        "GET /elements/{element_id}/history",
        "GET /meters/{meter_id}/history",
        "GET /gateways/{gateway_id}",
        "GET /gateways/{gateway_id}/history",
        "GET /search",
        "GET /firmware-versions",
        "GET /meters/{meter_id}/registers",
        "GET /meters/{meter_id}/exchanges",
    ],
    "viewer",
)
CHANGES_NOTHING = {"open", "anyone"}  # besides reading, an auditor keeps their own account
NOT_FOR_MACHINES = {"PUT /kill-switch"}
"""Of what operators may: a service may it not, whatever its scopes."""


@contextmanager
def application(head_end: Any) -> Iterator[Any]:
    """The application on an empty store, whose authority is away: it refuses by itself or not."""
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(settings, registry, read_only, store, LatestValues(), now_utc)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WAIT": timedelta(0), "_IN_HAND_S": 0.0, "_LONGER": {}}.items():
            patch.setattr(f"hesper_cloud.services.authority_link.{name}", value)
        yield create_app(assemble(sources, lambda: 0.0), settings)
    store.close()
    read_only.dispose()


@pytest.fixture
def app(head_end) -> Iterator[Any]:
    with application(head_end) as made:
        yield made


@pytest.fixture(scope="module")
def app_of_all(tmp_path_factory, prepared_state, head_end_class, gateway_signer) -> Iterator[Any]:
    """One for those tests in which nothing comes past the door."""
    folder = tmp_path_factory.mktemp("shut") / "state"
    shutil.copytree(prepared_state, folder)
    head_end = head_end_class(Settings(state=folder), gateway_signer, now_utc)
    with application(head_end) as made:
        yield made
    head_end.close()


@pytest.fixture
def machine(head_end) -> Callable[..., str]:
    """Makes an API token of a service with scopes, as the authority keeps it."""

    def make(*scopes: Permission) -> str:
        secret = tokens.new_api_token()
        names = sorted(scopes)
        digest = tokens.digest(secret)
        now = now_utc()
        with writing(head_end.databases.authority) as session:
            session.merge(
                User(
                    username="feeder",
                    role="service",
                    password_hash="",
                    created_at=now,
                    scopes=sorted(granted(Role.SERVICE)),
                )
            )
            session.add(
                ApiToken(
                    id=digest[:16],
                    digest=digest,
                    username="feeder",
                    name="to try",
                    scopes=names,
                    created_at=now,
                    created_by="cleo",
                    expires_at=now + timedelta(days=1),
                )
            )
        return secret

    return make


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://hesper.test")


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def outside(app_of_all) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app_of_all) as client:
        yield client


async def tokens_of(client: httpx.AsyncClient) -> dict[str, str]:
    tokens = {}
    for username, (role, password) in PEOPLE.items():
        body = {"username": username, "password": password}
        answer = await client.post(f"{PREFIX}/auth/login", json=body)
        tokens[role] = answer.json()["token"]
    client.cookies.clear()
    return tokens


async def test_every_route_is_in_the_table_and_nothing_else(app_of_all):
    assert app_of_all.openapi() == described()
    assert {name for name, _ in routes(described())} == set(TABLE)


async def test_nobody_without_an_account_gets_past_the_door(outside):
    found = {}
    for name, call in routes(described()):
        if TABLE[name] != "open":
            found[name] = await call.status(outside)
    assert {name: status for name, status in found.items() if status != 401} == {}


@pytest.mark.parametrize("role", ORDER)
async def test_a_role_is_refused_what_it_may_not(outside, role):
    token = (await tokens_of(outside))[role]
    found = {}
    for name, call in routes(described()):
        needs = TABLE[name]
        too_weak = needs in ORDER and ORDER.index(role) < ORDER.index(needs)
        if too_weak or needs == "machine":
            found[name] = await call.status(outside, token)
    assert {name: status for name, status in found.items() if status != 403} == {}


async def test_a_role_gets_past_the_door_where_it_may(client):
    tokens = await tokens_of(client)
    found = {}
    for name, call in routes(described()):
        if TABLE[name] not in {"open", "machine"}:
            weakest = "viewer" if TABLE[name] == "anyone" else TABLE[name]
            found[name] = await call.status(client, tokens[weakest])
    refused = {name: status for name, status in found.items() if status in (401, 403, 422, 500)}
    assert refused == {}


async def statuses(client, token: str) -> dict[str, int]:
    return {
        name: await call.status(client, token)
        for name, call in routes(described())
        if TABLE[name] != "open"
    }


def wrong_for(found: dict[str, int], allowed: set[str]) -> dict[str, int]:
    """What was refused though it is allowed, or came past the door though it is not."""
    return {
        name: status
        for name, status in found.items()
        if (status in (401, 403, 422, 500)) == (name in allowed)
    }


async def test_an_auditor_reads_everything_and_changes_nothing(client):
    body = {"username": "otto", "password": "reading-every-line"}
    token = (await client.post(f"{PREFIX}/auth/login", json=body)).json()["token"]
    found = await statuses(client, token)
    allowed = {name for name in found if name.startswith("GET ") or TABLE[name] in CHANGES_NOTHING}
    assert wrong_for(found, allowed) == {}


async def test_a_service_may_what_its_scopes_name_and_no_more(client, machine):
    found = await statuses(client, machine(*granted(Role.SERVICE)))
    of_role = {name for name in found if TABLE[name] in {"anyone", "viewer", "operator", "machine"}}
    assert wrong_for(found, of_role - NOT_FOR_MACHINES) == {}
    found = await statuses(client, machine(Permission.READ))
    of_scope = {name for name in found if TABLE[name] in {"anyone", "viewer"}}
    assert wrong_for(found, of_scope) == {}
    found = await statuses(client, machine(Permission.BRING_SERIES))
    may = {name for name in found if TABLE[name] == "anyone"} | {"POST /series/{name}"}
    assert wrong_for(found, may) == {}
