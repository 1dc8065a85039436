"""What the page of one gateway asks: how it is, its own commands, its file; and what is counted."""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.body_sizes import BodySizes
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.status_in import StatusIn
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.errors import Invalid, NotFound, NotPermitted
from hesper_cloud.services.images import MANIFEST_MAX, manifest_of
from hesper_cloud.services.plan_documents import check
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.web_settings import LimitSettings
from hesper_contracts import status
from hesper_contracts.frame import Kind
from hesper_contracts.status import GatewayStatus, ModemStatus

GATEWAY, METER = "gw-1", "HES12642984"
TOML = 'gateway = "gw-1"\n'
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
ANN, VIC = Actor("ann", Role.OPERATOR), Actor("vic", Role.VIEWER)
BY_AREA = Actor("ann", Role.OPERATOR, areas=("North",))


@pytest.fixture
def services(head_end: Any) -> Iterator[Services]:
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    authority = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(settings, registry, authority, store, LatestValues(), head_end.clock)
    made = assemble(sources, lambda: 0.0)
    yield made
    made.energy.close()
    store.close()
    authority.dispose()


def commanded(head_end: Any, **changes: Any) -> None:
    """Puts a command there as the authority leaves it."""
    row = CommandRecord(
        **{
            "id": uuid.uuid4().hex, "kind": "gateway.configure", "gateway": GATEWAY, "meter": "",
            "parameters": {"toml": TOML}, "state": "sent", "requester": "ann",
            "reason": "as agreed", "created_at": AT, "updated_at": AT,
        }
        | changes
    )  # fmt: skip
    with writing(head_end.databases.authority) as session:
        session.add(row)


def told(head_end: Any, **changes: Any) -> None:
    """Lets a gateway report itself."""
    found = GatewayStatus(
        gateway=GATEWAY, boot_id="b1", state="online", sent_at=AT, started_at=AT, **changes
    )
    message = Message(
        f"hesper/v1/{GATEWAY}/up/status", GATEWAY, Kind.STATUS, status.to_payload(found),
        Delivery(1, 1, 1), 0.0, 0.0,
    )  # fmt: skip
    StatusIn(head_end.databases.registry).take(message)


async def test_a_gateway_tells_its_best_signal_and_until_when_its_certificate_is_good(
    head_end: Any, services: Services
) -> None:
    expires = AT + timedelta(days=83)
    modems = (
        ModemStatus(name="a", signal_dbm=-97),
        ModemStatus(name="b"),
        ModemStatus(name="c", signal_dbm=-71),
    )
    told(head_end, modems=modems, certificate_expires_at=expires)
    row = await services.gateways.get(VIC, GATEWAY)
    assert (row.signal_dbm, row.certificate_expires_at) == (-71, expires)
    told(head_end)
    row = await services.gateways.get(VIC, GATEWAY)
    assert (row.signal_dbm, row.certificate_expires_at) == (None, None)
    with pytest.raises(NotFound):
        await services.gateways.get(VIC, "gw-none")
    with pytest.raises(NotFound):
        await services.gateways.get(BY_AREA, GATEWAY)


async def test_a_gateway_has_the_commands_that_are_for_itself(
    head_end: Any, services: Services
) -> None:
    commanded(head_end)
    commanded(head_end, meter=METER, kind="ping", parameters={})
    own = await services.commands.list(VIC, None, None, 10, GATEWAY)
    assert [(row.kind, row.meter) for row in own] == [("gateway.configure", "")]
    assert await services.commands.list(VIC, None, None, 10, "gw-2") == []


async def test_the_file_in_force_is_known_once_a_gateway_has_confirmed_it(
    head_end: Any, services: Services
) -> None:
    assert await services.gateways.configuration(ANN, GATEWAY) is None
    findings = {"configuration": hashlib.sha256(TOML.encode()).hexdigest()}
    commanded(head_end, state="confirmed", findings=findings)
    assert await services.gateways.configuration(ANN, GATEWAY) == TOML
    for actor in (VIC, BY_AREA):
        with pytest.raises(NotPermitted):
            await services.gateways.configuration(actor, GATEWAY)


async def test_commands_under_way_are_counted_apart_from_those_before_a_person(
    head_end: Any, services: Services
) -> None:
    for state, batch in (
        ("sent", None), ("unknown", None), ("queued", "b-1"), ("sent", "b-1"),
        ("quarantined", None), ("awaiting_approval", None), ("confirmed", "b-1"),
    ):  # fmt: skip
        commanded(head_end, state=state, batch=batch, kind="ping", meter=METER, parameters={})
    figures = await services.overview.figures(VIC)
    counts = figures.commands_in_flight, figures.commands_in_batches
    assert (*counts, figures.commands_awaiting_approval) == (4, 2, 2)


@pytest.mark.parametrize(
    ("kind", "name", "document", "words"),
    [
        ("schedule", "Calm", {}, "small letters"),
        ("schedule", "calm", {"profile_s": 0}, "more than 0"),
        ("schedule", "calm", {"profile_s": True}, "number of seconds"),
        ("schedule", "calm", {"jitter_s": -1}, "from 0"),
        ("schedule", "calm", {"surprise": 1}, "no such field"),
        ("template", "idis", {"toml": " "}, "text of a TOML file"),
        ("template", "idis", {"toml": "a = = 1"}, "not TOML"),
        ("template", "idis", {"toml": "a = " + "[" * 100_000}, "not TOML"),
        ("template", "idis", {"toml": "a = " + "9" * 5000}, "not TOML"),
        ("template", "idis", {"toml": "#" * 300_000}, "at most"),
    ],
)
def test_what_is_no_plan_is_refused_by_the_service_itself(kind, name, document, words) -> None:
    with pytest.raises(Invalid, match=words):
        check(kind, name, document, "")


@pytest.mark.parametrize("octets", [b"{}", b"no json", b" " * (MANIFEST_MAX + 1)])
def test_what_is_no_manifest_is_said_to_be_none(octets: bytes) -> None:
    with pytest.raises(Invalid, match="that is no manifest"):
        manifest_of(octets)


@pytest.mark.parametrize(
    ("path", "is_upload"),
    [
        ("/console/imports/meters", True),
        ("/console/images/ab", True),
        ("/console/images", False),
        ("/console/selections", False),
    ],
)
def test_files_that_the_console_brings_may_be_as_large_as_those_of_rest(path, is_upload) -> None:
    limits = LimitSettings()
    sizes = BodySizes(lambda *_: None, limits)  # type: ignore[arg-type]
    wanted = limits.upload_octets if is_upload else limits.body_octets
    assert sizes._most(path) == wanted
