"""The whole agent: the one place that knows every part, and the one task group that runs them.

::

    lines ── rounds ──→ gathering ──→ outbox ⇒ uplink ⇒ broker
      ▲        push ports ──┘            ▲         │
      └── commands (before bulk) ── journal ◀──────┘ down: receipts, commands, answers

Each line runs supervised. A crash in outbox, uplink or commands ends the process; what it had
acknowledged is on disk, and the service manager starts it again.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial

from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Keyring
from hesper_contracts.topics import Topics

from hesper_gateway import meter_keys, systemd, templates
from hesper_gateway.alarms import Alarms
from hesper_gateway.broker_link import Account
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import GatewayConfig, MeterConfig
from hesper_gateway.config.metrics import MetricsConfig
from hesper_gateway.counters import Counters
from hesper_gateway.database import DATABASE_NAME, Database
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.errands import ClockKeeper, ClockSetter, KeyChanger, MeterErrands, Stores
from hesper_gateway.errors import Hop
from hesper_gateway.firmware import Downloads, build_downloads, build_firmware
from hesper_gateway.gathering import Gathering
from hesper_gateway.key_store import KEYS_FOLDER, KeyStore
from hesper_gateway.line_costs import LineCosts, prices_of
from hesper_gateway.lines.building import Lines
from hesper_gateway.lines.building import build as build_lines
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.staying_open import StayingOpen
from hesper_gateway.lockout import Lockout
from hesper_gateway.meter_relays import in_reach
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import Outbox
from hesper_gateway.presence import Self, Watch
from hesper_gateway.push import PushPort
from hesper_gateway.push_owner import PushMeter
from hesper_gateway.replacement import open_database
from hesper_gateway.schedule import Plan, Round, Stop, offset_s
from hesper_gateway.secrets_files import load_password, load_signer
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_gateway.sessions.settings import check_line, schedule_for
from hesper_gateway.supervise import supervise
from hesper_gateway.timeproof import TimeProof, since_boot
from hesper_gateway.tunnel import TunnelErrand, Tunnels
from hesper_gateway.uplink import Ears, Identity, Pace, Uplink
from hesper_gateway.visit import Visitor

log = logging.getLogger(__name__)

_MEGABYTE = 1024 * 1024


@dataclass(slots=True)
class Core:
    """What is kept, whoever reads the meters."""

    database: Database
    outbox: Outbox
    alarms: Alarms
    gathering: Gathering
    time_proof: TimeProof
    ledger: Ledger
    failures: Counter[Hop] = dataclass_field(default_factory=Counter)
    """Failed attempts since the start, by the hop where they stopped."""


@dataclass(slots=True)
class Field:
    """What reads the meters."""

    lines: Lines
    costs: LineCosts
    sessions: Mapping[str, MeterSession]
    states: Mapping[str, MeterState]
    rounds: list[Round]
    round_of: Mapping[str, Round]
    """By meter id."""
    ports: list[PushPort]
    other_engine: Gurux

    async def aclose(self) -> None:
        """Close the lines, and end what was started to read meters."""
        await self.lines.aclose()
        await self.other_engine.aclose()


@dataclass(slots=True)
class Down:
    """Who waits for what comes down beside commands and answers."""

    downloads: Downloads
    tunnels: Tunnels

    def begin(self, uplink: Uplink) -> None:
        """Let both ask through the uplink."""
        self.downloads.publish, self.downloads.connected = uplink.publish, uplink.connected
        self.tunnels.publish, self.tunnels.connected = uplink.tell, uplink.connected


def build_core(config: GatewayConfig, database: Database) -> Core:
    """Returns the parts around the database.

    Raises:
        ConfigError: the gateway's key cannot be used.
    """
    signer = load_signer(config.keys.signing)
    outbox = Outbox(database, signer, config.outbox.quota_mb * _MEGABYTE)
    return Core(
        database,
        outbox,
        Alarms(outbox),
        Gathering(outbox),
        TimeProof(config.gateway, _keyring(config.keys.commands)),
        Ledger(database, time.time, since_boot),
    )


def build_field(config: GatewayConfig, core: Core) -> Field:
    """Returns lines, sessions and whoever visits or listens; nothing is opened yet.

    Raises:
        ConfigError: a template, key file or combination can never work.
    """
    lines = build_lines(config, core.ledger)
    for modem in lines.modems.values():
        modem.on_alarm = core.alarms.critical
    schedule, failures = config.schedule, core.failures
    states = {
        meter.id: MeterState(meter.id, schedule, time.time, since_boot, failures)
        for meter in config.meters
    }

    def half_used(meter: str, key_name: str, counter: int) -> None:
        text = f"{key_name} has used {counter} of 2**32 counters"
        core.alarms.tell("gateway.counter_half_used", text, "warning", meter)

    counters = Counters(core.database, half_used)

    def held(meter: str, text: str) -> None:
        core.alarms.tell("meter.credentials_held", text, "warning", meter)

    guard = Lockout(core.database, held)
    title = client_system_title(config.gateway)
    other_engine = Gurux()

    def settled(meter: str, command_id: str, is_new: bool) -> None:
        code, text = ("changed", "its new") if is_new else ("kept", "its old")
        text = f"the meter opens with {text} keys (command {command_id})"
        core.alarms.tell(f"meter.keys_{code}", text, "info", meter)

    key_store = KeyStore(config.state / KEYS_FOLDER, settled)
    common = Common(
        counters, title, time.time, guard=guard, key_store=key_store, other_engine=other_engine
    )
    sessions = {
        meter.id: _session(config, meter, lines, common)
        for meter in config.meters
        if meter.id in lines.by_meter
    }
    rounds, round_of = [], {}
    for name, (_, meters) in lines.polled.items():
        stops = [_stop(config, core, sessions[meter], states[meter]) for meter in meters]
        rounds.append(Round(name, stops, core.outbox, time.time))
        round_of.update(dict.fromkeys(meters, rounds[-1]))
    ports = [_push_port(config, core, lines, states, name) for name in lines.ears]
    prices = {meter.id: prices_of(config, meter) for meter in config.meters}
    costs = LineCosts(prices, core.ledger, core.outbox, time.time)
    return Field(lines, costs, sessions, states, rounds, round_of, ports, other_engine)


def build_self(config: GatewayConfig, core: Core, field: Field) -> Self:
    """Returns what tells how the gateway is."""
    return Self(
        config.gateway,
        core.database,
        core.outbox,
        core.time_proof,
        field.states,
        field.lines.modems.values(),
        field.costs,
        core.failures,
    )


def build_uplink(
    config: GatewayConfig, core: Core, myself: Self, executor: Executor, down: Down
) -> Uplink:
    """Returns the uplink with everyone who listens to it.

    Raises:
        ConfigError: the broker's password file cannot be used.
    """
    broker = config.broker

    def deliver(kind: Kind, payload: bytes) -> None:
        match kind:
            case Kind.COMMANDS:
                executor.receive(payload)
            case Kind.ANSWERS:
                core.time_proof.accept(payload)
            case Kind.BLOCKS:
                down.downloads.receive(payload)
            case Kind.TUNNEL:
                down.tunnels.receive(payload)
            case _:
                raise Refused(f"{kind} are not for this release")

    account = Account(
        broker.host,
        broker.port,
        config.gateway,
        broker.username,
        load_password(broker.password_file),
        broker.tls_ca,
        broker.keepalive_s,
    )
    keys = _keyring(config.keys.receipts)
    uplink = Uplink(
        account,
        Identity(config.gateway, Topics(broker.root), keys),
        core.outbox,
        Ears(myself.status, deliver, lambda _: core.time_proof.hurry(), core.failures),
        Pace(window=config.outbox.batches_in_flight),
    )
    down.begin(uplink)
    return uplink


def build_executor(config: GatewayConfig, core: Core, field: Field, down: Down) -> Executor:
    """Returns what carries out commands, for meters that are asked and whose name is known."""
    names = {
        meter.id: meter.logical_device_name
        for meter in config.meters
        if meter.logical_device_name is not None and meter.id in field.sessions
    }
    keys, reach = _keyring(config.keys.commands), in_reach(field.sessions)
    mandate = Mandate(config.gateway, keys, config.ceilings, names, reach)
    return Executor(
        mandate,
        Records(core.database, core.outbox),
        core.time_proof,
        MeterErrands(
            field.sessions,
            Stores(core.gathering, core.outbox),
            ClockSetter(core.outbox, core.time_proof.offset_ms),
            build_firmware(config, down.downloads, core.database, core.time_proof.now),
            TunnelErrand(
                down.tunnels,
                lambda code, text, meter: core.alarms.tell(code, text, "critical", meter),
            ),
            KeyChanger(load_signer(config.keys.signing).opener()),
        ),
        core.alarms.critical,
    )


async def run(config: GatewayConfig) -> None:
    """Runs the gateway until cancelled, then leaves the broker in order.

    Raises:
        ConfigError: the configuration can never work.
        DatabaseError: the database cannot be used.
    """
    ballast_octets = config.outbox.ballast_mb * _MEGABYTE
    opened = open_database(config.state / DATABASE_NAME, ballast_octets)
    database = opened.database
    try:
        core = build_core(config, database)
        field = build_field(config, core)
        down = Down(build_downloads(config, core.alarms.critical), Tunnels())
        executor = build_executor(config, core, field, down)
        myself = build_self(config, core, field)
        uplink = build_uplink(config, core, myself, executor, down)
        core.alarms.tell("gateway.started", f"{len(field.states)} meters configured", "info")
        if opened.replaced:
            core.alarms.tell("gateway.database_replaced", opened.replaced, "critical")
        try:
            async with asyncio.TaskGroup() as tasks:
                _start(tasks, core, field, executor, uplink)
                _answer_scrapes(tasks, config.metrics, myself)
        finally:
            await field.aclose()
            await core.ledger.write()
    finally:
        database.close()


def _start(
    tasks: asyncio.TaskGroup, core: Core, field: Field, executor: Executor, uplink: Uplink
) -> None:
    proof = core.time_proof
    tasks.create_task(core.gathering.run(), name="gathering")
    tasks.create_task(core.alarms.run(), name="alarms")
    tasks.create_task(uplink.run(), name="uplink")
    tasks.create_task(executor.run(), name="commands")
    tasks.create_task(proof.run(uplink.publish, uplink.connected), name="time-proof")
    watch = Watch(core.outbox, core.database, uplink, core.alarms)
    tasks.create_task(watch.run(), name="watch")
    tasks.create_task(core.ledger.run(), name="ledger")
    tasks.create_task(systemd.live(core.database), name="systemd")
    tasks.create_task(field.costs.run(), name="line-costs")
    staying_open = StayingOpen(field.lines.reading)
    tasks.create_task(staying_open.run(), name="staying-open")
    for modem in field.lines.modems.values():
        name = f"modem-{modem.config.name}"
        tasks.create_task(supervise(name, modem.run), name=name)
    for round_ in field.rounds:
        tasks.create_task(supervise(round_.name, round_.run), name=f"line-{round_.name}")
    for port in field.ports:
        tasks.create_task(supervise(port.name, port.run), name=f"push-{port.name}")
    for name, listener in field.lines.listeners.items():
        listener.on_call = lambda meter: field.round_of[meter].nudge(meter)
        tasks.create_task(supervise(name, listener.run), name=f"listener-{name}")


def _answer_scrapes(tasks: asyncio.TaskGroup, config: MetricsConfig | None, myself: Self) -> None:
    if config is None:
        return
    from hesper_gateway import metrics  # its library is not loaded where nobody scrapes

    serve = partial(metrics.serve, config, partial(myself.status, "online"))
    tasks.create_task(supervise("metrics", serve), name="metrics")


def _session(
    config: GatewayConfig, meter: MeterConfig, lines: Lines, common: Common
) -> MeterSession:
    template = templates.load_own(config.templates, meter.template)
    check_line(meter, template, config.line(meter.line))
    keys = meter_keys.load(meter.keys_file)
    session = MeterSession(meter, template, keys, lines.by_meter[meter.id], common)
    session.check()
    return session


def _stop(config: GatewayConfig, core: Core, session: MeterSession, state: MeterState) -> Stop:
    keeper = None
    if config.clock_sync is not None and session.meter.logical_device_name is not None:
        setter = ClockSetter(core.outbox, core.time_proof.offset_ms)
        keeper = ClockKeeper(session, setter, config.clock_sync, time.time)
    visitor = Visitor(session, core.gathering, core.outbox, core.outbox.progress, time.time, keeper)
    schedule = schedule_for(session.template, config.schedule)
    plan = Plan(schedule, offset_s(session.meter.id, config.schedule.jitter_s))
    return Stop(visitor, plan, state)


def _push_port(
    config: GatewayConfig,
    core: Core,
    lines: Lines,
    states: Mapping[str, MeterState],
    name: str,
) -> PushPort:
    meters = [
        PushMeter(
            meter,
            templates.load_own(config.templates, meter.template),
            meter_keys.load(meter.keys_file),
            states[meter.id],
        )
        for meter in config.meters_on(name)
    ]
    return PushPort(name, lines.ears[name], meters, core.gathering, core.outbox, time.time)


def _keyring(public_keys: Mapping[str, str]) -> Keyring:
    return Keyring({name: bytes.fromhex(octets) for name, octets in public_keys.items()})
