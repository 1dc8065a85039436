"""The whole agent: the one place that knows every part, and the one task group that runs them.

::

    lines ── rounds ──→ gathering ──→ outbox ⇒ uplink ⇒ broker
      ▲        push ports ──┘            ▲         │
      └── commands (before bulk) ── journal ◀──────┘ down: receipts, commands, answers

Each line runs supervised. A crash in outbox, uplink or commands ends the process; what it had
acknowledged is on disk, and the service manager starts it again.
"""

import asyncio
from functools import partial

from hesper_gateway import systemd
from hesper_gateway.broker_side import Down, build_renewal, build_self, build_uplink, build_witness
from hesper_gateway.building import Core, Field, build_core, build_field, keyring
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import GatewayConfig
from hesper_gateway.config.metrics import MetricsConfig
from hesper_gateway.configuration_check import check_files
from hesper_gateway.database import DATABASE_NAME
from hesper_gateway.errands import ClockSetter, KeyChanger, MeterErrands, Stores
from hesper_gateway.firmware import build_downloads, build_firmware
from hesper_gateway.lines.staying_open import StayingOpen
from hesper_gateway.meter_relays import in_reach
from hesper_gateway.own import (
    ConfigurationFile,
    Configurator,
    Everything,
    OwnErrands,
    Restarter,
    Trial,
)
from hesper_gateway.presence import Self, Watch
from hesper_gateway.replacement import open_database
from hesper_gateway.secrets_files import load_signer
from hesper_gateway.supervise import supervise
from hesper_gateway.timeproof import since_boot
from hesper_gateway.tunnel import TunnelErrand, TunnelRecords, Tunnels
from hesper_gateway.update.building import build_trial, build_updater, proofs_of
from hesper_gateway.update.errand import Updater
from hesper_gateway.uplink import Uplink

_MEGABYTE = 1024 * 1024


def build_own(
    config: GatewayConfig, core: Core, trial: Trial | None, updater: Updater
) -> OwnErrands:
    """Returns what commands can have the gateway do to itself."""
    return OwnErrands(
        {
            "gateway.update": updater,
            "gateway.restart": Restarter(core.time_proof.now, since_boot()),
            "gateway.configure": Configurator(config, trial, updater.hindrance),
        }
    )


def build_executor(
    config: GatewayConfig, core: Core, field: Field, down: Down, own: OwnErrands
) -> Executor:
    """Returns what carries out commands, for meters that are asked and whose name is known."""
    names = {
        meter.id: meter.logical_device_name
        for meter in config.meters
        if meter.logical_device_name is not None and meter.id in field.sessions
    }
    keys, reach = keyring(config.keys.commands), in_reach(field.sessions)
    mandate = Mandate(config.gateway, keys, config.ceilings, names, reach)
    meters = MeterErrands(
        field.sessions,
        Stores(core.gathering, core.outbox),
        ClockSetter(core.outbox, core.time_proof.offset_ms),
        build_firmware(config, down.downloads, core.database, core.time_proof.now),
        TunnelErrand(
            down.tunnels,
            TunnelRecords(core.database),
            lambda code, text, meter: core.alarms.tell(code, text, "critical", meter),
        ),
        KeyChanger(load_signer(config.keys.signing).opener()),
    )
    return Executor(
        mandate,
        Records(core.database, core.outbox),
        core.time_proof,
        Everything(meters, own),
        core.alarms.critical,
    )


async def run(config: GatewayConfig, file: ConfigurationFile | None = None) -> None:
    """Runs the gateway until cancelled, then leaves the broker in order.

    Args:
        config: What to run with.
        file: Where that was read, if a command may replace it.

    Raises:
        RestartWanted: in a group; a command or a configuration's trial asks for another start.
        ConfigError: the configuration can never work.
        DatabaseError: the database cannot be used.
    """
    check_files(config)  # a mistake is said also where another agent has the database
    ballast_octets = config.outbox.ballast_mb * _MEGABYTE
    opened = open_database(config.state / DATABASE_NAME, ballast_octets)
    database = opened.database
    try:
        core = build_core(config, database)
        field = build_field(config, core)
        downloads = build_downloads(config, core.alarms.critical)
        down = Down(downloads, Tunnels(), build_witness(config, core), build_renewal(config, core))
        trial = Trial(file, config.broker.trial_s) if file is not None else None
        update_trial = build_trial()
        updater = build_updater(config, downloads, update_trial, core.time_proof.now)
        own = build_own(config, core, trial, updater)
        executor = build_executor(config, core, field, down, own)
        myself = build_self(config, core, field, down)
        uplink = build_uplink(config, core, myself, executor, down)
        core.alarms.tell("gateway.started", f"{len(field.states)} meters configured", "info")
        if opened.replaced:
            core.alarms.tell("gateway.database_replaced", opened.replaced, "critical")
        try:
            async with asyncio.TaskGroup() as tasks:
                _start(tasks, core, field, executor, uplink)
                tasks.create_task(down.witness.run(uplink.publish_retained), name="witness")
                if down.renewal is not None:
                    renewing = down.renewal.run(uplink.publish, uplink.connected)
                    tasks.create_task(renewing, name="certificate")
                if trial is not None:
                    tasks.create_task(
                        trial.run(partial(core.time_proof.wait, None)), name="configuration-trial"
                    )
                proven = update_trial.run(proofs_of(core, field, uplink))
                tasks.create_task(proven, name="update-trial")
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
    tasks.create_task(core.key_news.run(), name="key-news")
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
