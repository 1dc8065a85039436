"""The head end as a process: ingest, jobs and web under one task group.

`bootstrap` is the only place that names concrete stores and engines. The console is found by its
entry point, so the cloud runs without one. The authority is a process of its own
(`hesper_cloud.authority.process`).
"""

import asyncio
import contextlib
import gc
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points

import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine

from hesper_cloud import jobs, keys
from hesper_cloud.access_log import AccessLogKeeping
from hesper_cloud.api import serving
from hesper_cloud.api.application import create_app, with_memory
from hesper_cloud.backup.sending_again import SendingAgain
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.gateway_keys import GatewayKeys
from hesper_cloud.images.serving import BlockServer
from hesper_cloud.images.shelf import shelf_of
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.jobs import SENDING_AGAIN_EVERY_S
from hesper_cloud.latest import LatestValues
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.observing.tracing import tracer_of
from hesper_cloud.outside_in import OutsideIn
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.certificates import CertificateRule
from hesper_cloud.rules.own_links import OwnLinks
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import is_ours_alone, open_store
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.turns import MINUTE_S, Job

__all__ = ["bootstrap", "create_app", "run"]
_log = logging.getLogger(__name__)
_CONSOLES = "hesper.console"
_THREADS = 12
"""Ingest holds two for ever, each list of jobs one for as long as it works, rests included; what
pages and requests ask for needs others. Python's own measure is six on two cores."""
OWN_LINKS_EVERY_S = 5.0
GATEWAY_KEYS_EVERY_S = 15.0
_YOUNG_OBJECTS = 10_000  # a group of messages is settled, and gone, before so many are made


@dataclass(frozen=True, slots=True)
class HeadEnd:
    """Everything that one process of the head end is made of."""

    settings: Settings
    registry: Engine
    store: ReadingStore
    ingest: Ingest
    outside: OutsideIn
    services: Services
    sending_again: SendingAgain
    blocks: BlockServer | None  # where images can be released at all


@contextmanager
def bootstrap(settings: Settings) -> Iterator[HeadEnd]:
    """Opens databases and store and puts the parts together; closes them at the end."""
    with ExitStack() as stack:
        registry = open_engine(settings.database.url)
        stack.callback(registry.dispose)
        migrate.upgrade(registry, "registry")
        authority = open_engine(settings.database.authority_url, read_only=True)
        stack.callback(authority.dispose)
        migrate.require(authority, "authority")
        store = open_store(settings)
        stack.callback(store.close)
        latest = LatestValues()
        signer = keys.receipt_signer(settings.keys)
        tracer = tracer_of(settings.tracing, "head-end")
        if tracer is not None:
            stack.callback(tracer.close)
        ingest = Ingest(settings, store, registry, signer, latest, tracer)
        captures = Captures() if is_ours_alone(settings.store) else None
        if captures is not None:
            ingest.follow(captures)
        sources = Sources(
            *(settings, registry, authority, store, latest, now_utc),
            traces=CommandTraces(tracer),
            captures=captures,
        )
        services = assemble(sources, ingest.rate.per_second, ingest.door)
        ingest.ring_for_events(services.event_stream.ring)
        stack.callback(services.energy.close)
        stack.callback(services.delivery.close)
        outside = OutsideIn(settings, registry, now_utc)
        asking = SendingAgain(settings.state, registry, signer, ingest.consumer.publish, now_utc)
        blocks = BlockServer(settings, shelf_of(settings)) if settings.firmware.is_used else None
        yield HeadEnd(settings, registry, store, ingest, outside, services, asking, blocks)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Runs every role of this process until ``stop`` is set or one of them fails.

    Raises:
        ProvisioningError: the web server's address is taken.
    """
    serving.check_free(settings.web)
    threads = ThreadPoolExecutor(_THREADS, "work")
    asyncio.get_running_loop().set_default_executor(threads)
    with bootstrap(settings) as head_end:
        app = create_app(head_end.services, settings)
        mount_consoles(app, head_end.services)
        memory = with_memory(app)
        certificate = serving.Certificate(settings.web.tls) if settings.web.tls else None
        server = _Server(serving.configured(memory, head_end.services, certificate))
        async with asyncio.TaskGroup() as group:
            web = group.create_task(server.serve(), name="web")
            await server.is_up.wait()
            _set_aside_what_stays()
            roles = [
                group.create_task(head_end.ingest.run(), name="ingest"),
                group.create_task(
                    jobs.run(
                        head_end.services.sources,
                        head_end.ingest.occupation.share,
                        _jobs_of(head_end, certificate),
                    ),
                    name="jobs",
                ),
                group.create_task(head_end.services.live.run(), name="live"),
                group.create_task(head_end.services.live_feed.run(), name="live rooms"),
                group.create_task(head_end.services.event_stream.run(), name="live events"),
                group.create_task(_looks_of(head_end).run(), name="access log"),
                group.create_task(head_end.services.accounts.run(), name="accounts"),
                group.create_task(head_end.outside.run(), name="series from outside"),
            ]
            if certificate is not None:
                roles.append(group.create_task(certificate.watch(), name="certificate"))
            if head_end.blocks is not None:
                roles.append(group.create_task(head_end.blocks.run(), name="image blocks"))
            await _either(stop, web)
            server.should_exit = True
            await web
            for role in roles:
                role.cancel()


def _set_aside_what_stays() -> None:
    """Spares the garbage collector what was loaded to start: half a million objects that stay.

    It looked through them again and again, with everything else standing still for as long; while
    they are loaded it does not look at all (`cli.run`), nor before they are set aside: what little
    garbage there is stays with them.
    """
    gc.enable()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _jobs_of(head_end: HeadEnd, shown: serving.Certificate | None) -> list[Job]:
    """Returns the jobs that are about this process's own links, and what it shows there."""
    alerts = Alerts(head_end.registry, now_utc)
    links = OwnLinks(head_end.registry, head_end.settings, alerts, now_utc)
    keys_of = GatewayKeys(head_end.registry, head_end.services.sources.authority, now_utc)
    certificates = CertificateRule(
        *(head_end.settings, head_end.services.sources.authority, alerts, now_utc),
        lambda: shown.own if shown is not None else None,
    )
    return [
        Job("certificates", MINUTE_S, certificates.check),
        Job("sending again", SENDING_AGAIN_EVERY_S, head_end.sending_again.turn),
        Job("broker and store", OWN_LINKS_EVERY_S, links.turn),
        Job("keys of gateways", GATEWAY_KEYS_EVERY_S, keys_of.turn),
    ]


def _looks_of(head_end: HeadEnd) -> AccessLogKeeping:
    """Returns what writes down who looked at whose data."""
    return AccessLogKeeping(head_end.registry, head_end.services.sources.looks)


async def run_ingest(settings: Settings, stop: asyncio.Event) -> None:
    """Runs ingest alone until ``stop`` is set or it fails."""
    with ExitStack() as stack:
        registry = open_engine(settings.database.url)
        stack.callback(registry.dispose)
        migrate.upgrade(registry, "registry")
        store = open_store(settings)
        stack.callback(store.close)
        signer = keys.receipt_signer(settings.keys)
        tracer = tracer_of(settings.tracing, "ingest")
        if tracer is not None:
            stack.callback(tracer.close)
        ingest = Ingest(settings, store, registry, signer, LatestValues(), tracer)
        role = asyncio.create_task(ingest.run(), name="ingest")
        await _either(stop, role)
        role.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await role


async def _either(stop: asyncio.Event, web: "asyncio.Task[None]") -> None:
    """Waits for the wish to stop or for the end of the web server."""
    wish = asyncio.ensure_future(stop.wait())
    await asyncio.wait({wish, web}, return_when=asyncio.FIRST_COMPLETED)
    wish.cancel()


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers of its own: this process has one place for them.

    The other roles wait until ``is_up``. A console may look through all of the interpreter's
    objects while it starts (NiceGUI looks for its server so), and CPython cannot finish a tuple
    that another thread is just building when somebody else holds it: SystemError, and the end.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts up, and tells the other roles that it is over, well or not."""
        try:
            await super().startup(sockets)
        finally:
            self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns the event loop to run on: uvloop's, where it can be installed."""
    if sys.platform == "win32":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def mount_consoles(app: FastAPI, services: Services) -> None:
    """Mounts what is installed under the entry-point group ``hesper.console``."""
    for entry in entry_points(group=_CONSOLES):
        try:
            mount: Callable[[FastAPI, Services], None] = entry.load()
        except ModuleNotFoundError as missing:
            _log.warning("console %s is not installed: %s", entry.name, missing)
            continue
        mount(app, services)
        _log.info("console %s mounted", entry.name)


def now_utc() -> datetime:
    """Returns the machine's clock, aware UTC."""
    return datetime.now(UTC)
