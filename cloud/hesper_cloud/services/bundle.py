"""All services together, as REST and the console receive them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hesper_cloud import keys
from hesper_cloud.accounts.tokens import MachineTokens
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.rules.own_links import BrokerLoss
from hesper_cloud.services.about import About
from hesper_cloud.services.access_log import AccessLog
from hesper_cloud.services.accounts import Accounts
from hesper_cloud.services.alert_selections import AlertSelections
from hesper_cloud.services.alerts import Alerts
from hesper_cloud.services.api_tokens import ApiTokens
from hesper_cloud.services.approvals import Approvals
from hesper_cloud.services.assets import Assets
from hesper_cloud.services.audit import Audit
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.batches import Batches
from hesper_cloud.services.campaigns import Campaigns
from hesper_cloud.services.commands import Commands
from hesper_cloud.services.consumption import ConsumptionOf
from hesper_cloud.services.conversations import Conversations
from hesper_cloud.services.data_ingestion import DataIngestion, ReadingsDoor
from hesper_cloud.services.decisions import Decisions
from hesper_cloud.services.delivery import DeliveryDesk
from hesper_cloud.services.delivery_log import DeliveryLog
from hesper_cloud.services.energy import Energy
from hesper_cloud.services.enrolments import Enrolments
from hesper_cloud.services.event_stream import EventStream
from hesper_cloud.services.events import Events
from hesper_cloud.services.exports import Exports
from hesper_cloud.services.gaps import Gaps
from hesper_cloud.services.gateways import Gateways
from hesper_cloud.services.geography import Geography
from hesper_cloud.services.idempotency import Idempotency
from hesper_cloud.services.images import Images
from hesper_cloud.services.imports import Imports
from hesper_cloud.services.jobs import Jobs
from hesper_cloud.services.live import Live
from hesper_cloud.services.live_feed import LiveFeed
from hesper_cloud.services.members import Members
from hesper_cloud.services.meter_life import MeterLife
from hesper_cloud.services.meter_settings import MeterSettings
from hesper_cloud.services.meters import Meters
from hesper_cloud.services.outages import Outages
from hesper_cloud.services.outside_login import OutsideLogin
from hesper_cloud.services.overview import OverviewService
from hesper_cloud.services.plan_sending import PlanSending
from hesper_cloud.services.plans import Plans
from hesper_cloud.services.readings import Readings
from hesper_cloud.services.reports import Reports
from hesper_cloud.services.rules import Rules
from hesper_cloud.services.service_levels import Levels
from hesper_cloud.services.sessions import Sessions
from hesper_cloud.services.sources import Sources
from hesper_cloud.services.validated import Validated


@dataclass(frozen=True, slots=True)
class Services:
    """The cloud's services; every call names its actor and is checked inside."""

    accounts: Accounts
    meters: Meters
    meter_life: MeterLife
    assets: Assets
    readings: Readings
    gateways: Gateways
    gaps: Gaps
    alerts: Alerts
    alert_selections: AlertSelections
    delivery: DeliveryDesk
    delivery_log: DeliveryLog
    commands: Commands
    conversations: Conversations
    batches: Batches
    overview: OverviewService
    live: Live
    live_feed: LiveFeed
    event_stream: EventStream
    audit: Audit
    access_log: AccessLog
    validated: Validated
    energy: Energy
    exports: Exports
    service_levels: Levels
    enrolments: Enrolments
    decisions: Decisions
    images: Images
    campaigns: Campaigns
    about: About
    geography: Geography
    members: Members
    sessions: Sessions
    api_tokens: ApiTokens
    outside_login: OutsideLogin
    idempotency: Idempotency
    data_ingestion: DataIngestion
    approvals: Approvals
    meter_settings: MeterSettings
    plans: Plans
    plan_sending: PlanSending
    consumption: ConsumptionOf
    events: Events
    rules: Rules
    outages: Outages
    jobs: Jobs
    imports: Imports
    reports: Reports
    sources: Sources

    def server_time(self) -> datetime:
        """Returns the server's clock, aware UTC, for browsers to compute ages with."""
        return self.sources.clock()


def assemble(
    sources: Sources, readings_per_s: Callable[[], float], door: ReadingsDoor | None = None
) -> Services:
    """Makes the services from their sources; reads the web process's keys.

    ``door`` is where ingest takes batches in; None where it runs elsewhere.
    """
    settings = sources.settings
    link = AuthorityLink(sources, keys.request_sealer(settings.keys))
    lifetime = timedelta(minutes=settings.web.token_minutes)
    secret = keys.token_secret(settings.keys)
    machine = MachineTokens(secret, lifetime)
    accounts = Accounts(sources, link, machine)
    overview = OverviewService(sources, readings_per_s, BrokerLoss())
    shelf = Shelf(sources.registry, sources.store, EnergyBook(settings.energy_file))
    alerts = Alerts(sources, link)
    commands, batches = Commands(sources, link), Batches(sources, link)
    decisions = Decisions(sources, link)
    assets, plans = Assets(sources, link), Plans(sources, link)
    return Services(
        accounts=accounts, members=Members(sources, link, accounts),
        sessions=Sessions(sources, link, accounts), api_tokens=ApiTokens(sources, link, accounts),
        outside_login=OutsideLogin(sources, link, accounts, secret), meters=Meters(sources),
        meter_life=MeterLife(sources, link), assets=assets, readings=Readings(sources),
        gateways=Gateways(sources), gaps=Gaps(sources), alerts=alerts,
        alert_selections=AlertSelections(sources, alerts),
        delivery=DeliveryDesk(sources, link, keys.delivery_vault(settings.keys)),
        delivery_log=DeliveryLog(sources), commands=commands,
        conversations=Conversations(sources, commands), batches=batches, overview=overview,
        live=Live(sources, overview), live_feed=LiveFeed(sources),
        event_stream=EventStream(sources), audit=Audit(sources), access_log=AccessLog(sources),
        validated=Validated(sources, shelf, link), energy=Energy(sources, shelf, link),
        exports=Exports(sources, shelf), service_levels=Levels(sources),
        enrolments=Enrolments(sources, link), decisions=decisions, images=Images(sources, link),
        about=About(sources), geography=Geography(sources),
        campaigns=Campaigns(sources, link, batches), events=Events(sources),
        rules=Rules(sources, link), outages=Outages(sources), jobs=Jobs(sources, link),
        imports=Imports(sources, link), reports=Reports(sources, link),
        idempotency=Idempotency(sources, secret), data_ingestion=DataIngestion(sources, door),
        approvals=Approvals(commands, batches, decisions),
        meter_settings=MeterSettings(sources, commands, assets), plans=plans,
        plan_sending=PlanSending(sources, plans, commands),
        consumption=ConsumptionOf(sources, shelf), sources=sources,
    )  # fmt: skip
