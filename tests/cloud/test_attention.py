"""The first page: what is in nobody's list yet, and what is known while the store is away."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.db.authority import Batch, BatchRow
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Alert, Event, Meter
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.own_links import BrokerLoss
from hesper_cloud.services.overview import OverviewService
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.errors import StoreUnavailable
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.worded import Worded, worded
from hesper_lab.ports import free_port

GATEWAY, KNOWN, NEW = "gw-1", "HES12642984", "HES77"
VIC, BY_AREA = Actor("vic", Role.VIEWER), Actor("ann", Role.OPERATOR, areas=("North",))


@contextmanager
def overview_on(
    head_end: Any, store: ReadingStore, *, hears: bool = True
) -> Iterator[OverviewService]:
    with ExitStack() as stack:
        stack.callback(store.close)
        authority = open_engine(head_end.settings.database.authority_url, read_only=True)
        stack.callback(authority.dispose)
        registry = head_end.databases.registry
        sources = Sources(
            head_end.settings, registry, authority, store, LatestValues(), head_end.clock
        )
        yield OverviewService(sources, lambda: 0.0, BrokerLoss(lambda: hears))


@pytest.fixture
def overview(head_end: Any) -> Iterator[OverviewService]:
    with overview_on(head_end, DuckDbStore(head_end.settings.readings_file)) as made:
        yield made


def unreachable(head_end: Any, meter: str, ago: timedelta, text: str = "no answer") -> None:
    at = head_end.clock() - ago
    with writing(head_end.databases.registry) as session:
        session.add(
            Event(
                id=f"{meter}/{ago}", meter=meter, gateway=GATEWAY, code="meter.unreachable",
                severity="warning", occurred_at=at, stored_at=at, text=text,
                attributes={"hop": "association"},
            )
        )  # fmt: skip


async def never_read(overview: OverviewService, actor: Actor = VIC) -> list[tuple[str, ...]]:
    rows = await overview.needs_attention(actor, 100)
    return [(row.text, *row.subjects) for row in rows if row.cause == "never-read"]


async def test_a_meter_that_its_gateway_cannot_read_is_told_though_nobody_knows_it(
    head_end: Any, overview: OverviewService
) -> None:
    unreachable(head_end, NEW, timedelta(hours=2), "silence")
    unreachable(head_end, NEW, timedelta(hours=1), "deciphering-error")
    unreachable(head_end, KNOWN, timedelta(hours=1))
    unreachable(head_end, "HES99", timedelta(hours=25))
    text = "gateway gw-1 could not read meter HES77 at the hop association: deciphering-error"
    assert await never_read(overview) == [(text, NEW)]
    assert await never_read(overview, BY_AREA) == []
    unreachable(head_end, "HES78", timedelta(hours=3))
    assert await never_read(overview) == [("2 meters could not be read yet", "HES78", NEW)]
    with writing(head_end.databases.registry) as session:
        session.add_all(Meter(id=each, first_seen_at=head_end.clock()) for each in (NEW, "HES78"))
    assert await never_read(overview) == []


async def test_figures_go_on_while_the_store_is_away(head_end: Any) -> None:
    away = InfluxStore(InfluxV1(f"http://127.0.0.1:{free_port()}", "hesper"))
    with overview_on(head_end, away) as overview:
        figures = await overview.figures(VIC)
        assert figures.meters_total > 0
        assert figures.reads_complete_pct is None
        for ask in (overview.load_24h, overview.completeness_by_hour):
            with pytest.raises(StoreUnavailable, match="InfluxDB cannot be reached"):
                await ask(VIC)


async def test_everybody_is_told_since_when_the_broker_is_lost(head_end: Any) -> None:
    """Also who sees some areas alone, and so not the alert that tells of it."""
    store = DuckDbStore(head_end.settings.readings_file)
    with overview_on(head_end, store, hears=False) as overview:
        noticed_at = head_end.clock()
        assert (await overview.figures(VIC)).broker_lost_since == noticed_at
        head_end.clock.advance(5)
        assert (await overview.figures(BY_AREA)).broker_lost_since == noticed_at


async def test_a_broker_that_is_heard_is_not_lost(overview: OverviewService) -> None:
    assert (await overview.figures(VIC)).broker_lost_since is None


async def test_what_stands_alone_keeps_how_its_text_came_about(
    overview: OverviewService, head_end: Any
) -> None:
    """So that the first page says it in the operator's language, as its own page does."""
    alerts = Alerts(head_end.databases.registry, head_end.clock)
    gone = worded("There is no connection to the broker {broker}.", broker="hub:1")
    alerts.raise_(Subject("broker-lost"), "critical", gone, at=head_end.clock())
    unreachable(head_end, NEW, timedelta(minutes=5))
    found = {row.cause: row.text for row in await overview.needs_attention(VIC, 100)}
    for cause in ("broker-lost", "never-read"):
        assert isinstance(found[cause], Worded), cause


async def test_an_alert_about_an_element_is_counted_where_all_its_meters_are(
    overview: OverviewService, head_end: Any
) -> None:
    """As on the page of alerts: one that is elsewhere is not told."""
    said = {"severity": "critical", "raised_at": head_end.clock(), "text": "silent"}
    with writing(head_end.databases.registry) as session:
        for area in ("North", "South"):
            session.add(Alert(rule=f"storm/{area}", element=area, area=area, **said))
    figures = await overview.figures(BY_AREA)
    assert (figures.alerts_open, figures.critical_alerts) == (1, 1)
    assert figures.oldest_critical_at == head_end.clock()
    found = [row.cause for row in await overview.needs_attention(BY_AREA, 100)]
    assert found == ["storm/North"]


def batch(head_end: Any, name: str, state: str, meter: str = KNOWN) -> None:
    """Puts a batch of one meter into the authority's database, in any state."""
    now = head_end.clock()
    told = {"kind": "relay.read", "reason": "a look", "requester": "ann", "digest": name}
    terms = {"canary": 1, "wave_size": 1, "per_hour": 1, "stop_percent": 1, "allowance": 1}
    times = {"proposed_at": now, "approve_until": now, "updated_at": now}
    with writing(head_end.databases.authority) as session:
        session.add(Batch(id=name, state=state, **told, **terms, **times))
        session.flush()
        session.add(BatchRow(batch=name, position=0, meter=meter, state="waiting", updated_at=now))


async def test_batches_that_wait_for_a_person_are_told(
    overview: OverviewService, head_end: Any
) -> None:
    """As single commands are: a second person finds them without knowing of them."""
    with writing(head_end.databases.registry) as session:
        session.add(Meter(id="HES-N", area="North", first_seen_at=head_end.clock()))
    batch(head_end, "asked", "awaiting_approval")
    batch(head_end, "asked-north", "awaiting_approval", "HES-N")
    batch(head_end, "between", "paused")
    batch(head_end, "many", "quarantined")
    for number, state in enumerate(("running", "done", "stopped", "rejected")):
        batch(head_end, f"other-{number}", state)

    async def told(actor: Actor) -> list[tuple[str, int]]:
        rows = await overview.needs_attention(actor, 100)
        return [(row.cause, row.count) for row in rows if row.cause.startswith("batch")]

    assert await told(VIC) == [("batch-approval", 2), ("batch-held", 2)]
    assert await told(BY_AREA) == [("batch-approval", 1)]
