"""From gateway.toml to what is kept and to what reads the meters; nothing is opened yet.

`app` runs it; commissioning builds the same and walks through it once.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from hesper_contracts.signing import Keyring

from hesper_gateway import meter_keys, templates
from hesper_gateway.alarms import Alarms
from hesper_gateway.config import GatewayConfig, MeterConfig
from hesper_gateway.counters import Counters
from hesper_gateway.database import Database
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.errands import ClockKeeper, ClockSetter
from hesper_gateway.errors import Hop
from hesper_gateway.gathering import Gathering
from hesper_gateway.key_news import KeyNews
from hesper_gateway.key_store import KEYS_FOLDER, KeyStore
from hesper_gateway.line_costs import LineCosts, prices_of
from hesper_gateway.lines.building import Lines
from hesper_gateway.lines.building import build as build_lines
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lockout import Lockout
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import Outbox
from hesper_gateway.push import PushPort
from hesper_gateway.push_owner import PushMeter
from hesper_gateway.schedule import Plan, Round, Stop, offset_s
from hesper_gateway.secrets_files import load_signer
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_gateway.sessions.settings import schedule_for
from hesper_gateway.templates import MeterTemplate
from hesper_gateway.timeproof import TimeProof, since_boot
from hesper_gateway.visit import Visitor

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
    key_news: KeyNews
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


def build_core(config: GatewayConfig, database: Database) -> Core:
    """Returns the parts around the database.

    Raises:
        ConfigError: the gateway's key cannot be used.
    """
    signer = load_signer(config.keys.signing)
    outbox = Outbox(database, signer, config.outbox.quota_mb * _MEGABYTE)
    alarms = Alarms(outbox)
    return Core(
        database,
        outbox,
        alarms,
        Gathering(outbox),
        TimeProof(config.gateway, keyring(config.keys.commands)),
        Ledger(database, time.time, since_boot),
        KeyNews(config.gateway, database, outbox, alarms),
    )


def build_field(config: GatewayConfig, core: Core) -> Field:
    """Returns lines, sessions and whoever visits or listens; nothing is opened yet.

    Args:
        config: That `configuration_check` has passed.
        core: What is kept.

    Raises:
        ConfigError: a file has changed since, or changed keys cannot be read.
    """
    lines = build_lines(config, core.ledger)
    for modem in lines.modems.values():
        modem.on_alarm = core.alarms.critical
    schedule, failures, now = config.schedule, core.failures, _now_of(core)
    states = {
        meter.id: MeterState(meter.id, schedule, now, since_boot, failures)
        for meter in config.meters
    }

    other_engine = Gurux()
    common = _common(config, core, other_engine)
    kinds = templates.load_each(config.templates, (meter.template for meter in config.meters))
    sessions = {
        meter.id: _session(meter, kinds[meter.template], lines, common)
        for meter in config.meters
        if meter.id in lines.by_meter
    }
    rounds, round_of = [], {}
    for name, (_, meters) in lines.polled.items():
        stops = [_stop(config, core, sessions[meter], states[meter]) for meter in meters]
        rounds.append(Round(name, stops, core.outbox, now))
        round_of.update(dict.fromkeys(meters, rounds[-1]))
    ports = [_push_port(config, core, lines, states, kinds, name) for name in lines.ears]
    prices = {meter.id: prices_of(config, meter) for meter in config.meters}
    costs = LineCosts(prices, core.ledger, core.outbox, time.time)
    return Field(lines, costs, sessions, states, rounds, round_of, ports, other_engine)


def _common(config: GatewayConfig, core: Core, other_engine: Gurux) -> Common:
    """Returns what all sessions share; what happens to counters becomes events."""
    alarms = core.alarms

    def half_used(meter: str, key_name: str, counter: int) -> None:
        text = f"{key_name} has used {counter} of 2**32 counters"
        alarms.tell("gateway.counter_half_used", text, "warning", meter)

    def held(meter: str, text: str) -> None:
        alarms.tell("meter.credentials_held", text, "warning", meter)

    counters = Counters(core.database, half_used)
    core.outbox.went_back = counters.draw_anew
    return Common(
        counters,
        client_system_title(config.gateway),
        _now_of(core),
        guard=Lockout(core.database, held),
        key_store=KeyStore(config.state / KEYS_FOLDER, core.key_news.settled),
        other_engine=other_engine,
        steady=since_boot,
    )


def _session(
    meter: MeterConfig, template: MeterTemplate, lines: Lines, common: Common
) -> MeterSession:
    keys = meter_keys.load(meter.keys_file)
    return MeterSession(meter, template, keys, lines.by_meter[meter.id], common)


def _stop(config: GatewayConfig, core: Core, session: MeterSession, state: MeterState) -> Stop:
    keeper, now = None, _now_of(core)
    if config.clock_sync is not None and session.meter.logical_device_name is not None:
        setter = ClockSetter(core.outbox, core.time_proof.offset_ms)
        keeper = ClockKeeper(session, setter, config.clock_sync, now)
    visitor = Visitor(session, core.gathering, core.outbox, core.outbox.progress, now, keeper)
    schedule = schedule_for(session.template, config.schedule)
    plan = Plan(schedule, offset_s(session.meter.id, config.schedule.jitter_s))
    return Stop(visitor, plan, state)


def _push_port(
    config: GatewayConfig,
    core: Core,
    lines: Lines,
    states: Mapping[str, MeterState],
    kinds: Mapping[str, MeterTemplate],
    name: str,
) -> PushPort:
    meters = [
        PushMeter(
            meter,
            kinds[meter.template],
            meter_keys.load(meter.keys_file),
            states[meter.id],
        )
        for meter in config.meters_on(name)
    ]
    return PushPort(name, lines.ears[name], meters, core.gathering, core.outbox, _now_of(core))


def _now_of(core: Core) -> Callable[[], float]:
    """Returns what dates readings, and says when they are due: epoch seconds, UTC.

    Proven time may come later, and may be renewed; so each call asks anew.
    """
    return lambda: core.time_proof.likeliest().timestamp()


def keyring(public_keys: Mapping[str, str]) -> Keyring:
    """Returns the keys that gateway.toml trusts for one purpose."""
    return Keyring({name: bytes.fromhex(octets) for name, octets in public_keys.items()})
