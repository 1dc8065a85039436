"""Walks an installer through a new meter, hop by hop, from the file to the relay.

Theory of operation
-------------------
::

    configuration → line → link → public → association → name → clock → registers → relay
                                                        └──── push, on a line that only listens
                  → management (opened and released, nothing is written)     → broker, last

Each hop passes, fails or was not checked; after a failure the hops that need it are not tried.
Nothing is written to the meter. The walk is made of the agent's own parts, its database included:
invocation counters come out of the same reserve, so that none is used twice, and the database's
lock keeps agent and walk from working on one line at a time. While the agent runs, the walk says
so and touches nothing. What a meter pushes during the walk is kept for the cloud like any push, and
so is what an association has settled: which keys the meter has after a change that was open.

The broker is asked under a name of its own, so that commands queued for the gateway stay queued;
an installer without network sees "not checked" there, and that is no failure.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from hesper_gateway import building
from hesper_gateway.broker_link import Account, BrokerRefused, BrokerUnreachable, reach
from hesper_gateway.certificate import Holding
from hesper_gateway.commissioning.asking import Asking
from hesper_gateway.commissioning.steps import Hop, NotPassed, Steps, Tell
from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.configuration_check import check_files
from hesper_gateway.database import DATABASE_NAME, Database, DatabaseError, DatabaseInUse
from hesper_gateway.errors import ConfigError, LineDown
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.secrets_files import load_password
from hesper_gateway.sessions import MeterSession

POLL_S = 0.1


async def walk(path: Path, meter_id: str, wait_s: float, tell: Tell) -> None:
    """Check one meter of a gateway.toml; everything found goes to ``tell``.

    Args:
        path: The file.
        meter_id: As in the file.
        wait_s: How long to wait for a meter that calls or pushes by itself.
        tell: Called with each hop as it ends.
    """
    steps = Steps(tell)
    with suppress(NotPassed):
        config = _configured(path, meter_id, steps)
        with suppress(NotPassed):
            await _Walk(config, steps, wait_s).run()
        await _ask_broker(config, steps)
    steps.finish()


def _configured(path: Path, meter_id: str, steps: Steps) -> GatewayConfig:
    """Return the configuration with this meter alone, and on a push line its neighbours."""
    try:
        config = load(path)
        check_files(config)
    except ConfigError as error:
        advice = "Correct the file that it names; the agent would not start."
        raise steps.failed(Hop.CONFIGURATION, str(error), advice) from error
    meter = next((each for each in config.meters if each.id == meter_id), None)
    if meter is None:
        known = ", ".join(each.id for each in config.meters) or "none"
        why = f"{path} has no meter {meter_id!r}; it has: {known}"
        raise steps.failed(Hop.CONFIGURATION, why, "Add the meter's [[meters]] table.")
    line = config.line(meter.line)
    pushes = line.kind.startswith("push-")
    meters = config.meters_on(line.name) if pushes else (meter,)
    others = tuple(each for each in meters if each.id != meter_id)
    return config.model_copy(update={"lines": (line,), "meters": (meter, *others)})


@asynccontextmanager
async def _state(config: GatewayConfig, steps: Steps) -> AsyncIterator[Database]:
    folder = config.state if config.state.exists() else config.state.parent
    try:
        owner, account = folder.stat().st_uid, os.geteuid()
        if owner != account and (account == 0 or not os.access(folder, os.W_OK)):
            why = f"{folder} belongs to another account (uid {owner})"
            raise steps.failed(Hop.CONFIGURATION, why, "Run as the agent: sudo -u hesper …")
        database = Database(config.state / DATABASE_NAME, 0)
    except DatabaseInUse as error:
        advice = (
            "Stop it for the walk: Ctrl-C in its terminal, or sudo systemctl stop hesper-gateway."
        )
        why = "the agent runs and holds this line; nothing was sent"
        raise steps.failed(Hop.LINE, why, advice) from error
    except (DatabaseError, OSError) as error:
        raise steps.failed(Hop.CONFIGURATION, str(error), "Look at the state folder.") from error
    try:
        yield database
    finally:
        database.close()


class _Walk:
    """The hops between file and meter."""

    def __init__(self, config: GatewayConfig, steps: Steps, wait_s: float) -> None:
        self._config = config
        self._meter = config.meters[0]
        self._steps = steps
        self._wait_s = wait_s

    async def run(self) -> None:
        """Make them all, or raise `NotPassed` after the one that failed."""
        async with _state(self._config, self._steps) as database:
            try:
                core = building.build_core(self._config, database)
                field = building.build_field(self._config, core)
            except ConfigError as error:
                hop, advice = Hop.CONFIGURATION, "Correct the file that it names."
                raise self._steps.failed(hop, str(error), advice) from error
            kind, template = self._config.lines[0].kind, self._meter.template
            found = f"line {self._meter.line} ({kind}), template {template}"
            session = field.sessions.get(self._meter.id)
            if session is not None:
                found += f", engine {session.template.engine}"
            self._steps.passed(Hop.CONFIGURATION, found)
            try:
                if session is None:
                    await self._hear(core, field)
                else:
                    await self._ask(session, field)
            finally:
                await field.aclose()
                await core.key_news.finish()
                await core.alarms.finish()

    async def _ask(self, session: MeterSession, field: building.Field) -> None:
        listeners = list(field.lines.listeners.values())
        helpers = [each.run() for each in listeners]
        helpers += [each.run() for each in field.lines.modems.values()]
        async with _beside(helpers) as failed:
            for listener in listeners:
                await self._await_call(listener, failed)
            asking = Asking(self._config.gateway, session, self._steps)
            await session.line.submit(asking.run)

    async def _await_call(self, listener: DialIn, failed: "asyncio.Future[None]") -> None:
        """Wait until the meter has called; it calls whenever it likes."""
        call = asyncio.ensure_future(listener.open(self._meter, self._wait_s))
        try:
            await asyncio.wait((call, failed), return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                call.cancel()
                failed.result()
            await (await call).release(broken=False)
        except LineDown as error:
            raise self._steps.failed(Hop.LINE, str(error)) from error

    async def _hear(self, core: building.Core, field: building.Field) -> None:
        """Wait for one push of this meter; it is kept for the cloud."""
        (port,), state = field.ports, field.states[self._meter.id]
        async with _beside([core.gathering.run(), port.run()]) as failed:
            for _ in range(int(self._wait_s / POLL_S)):
                if state.reachable or failed.done():
                    break
                await asyncio.sleep(POLL_S)
            if state.reachable:
                self._steps.passed(Hop.PUSH, "a push of this meter was decoded and kept")
                return
            try:
                if failed.done():
                    failed.result()
            except LineDown as error:
                raise self._steps.failed(Hop.LINE, str(error)) from error
        dropped = "; ".join(f"{count} × {reason}" for reason, count in port.dropped.items())
        why = f"nothing decoded within {self._wait_s:g} s" + (f"; {dropped}" if dropped else "")
        raise self._steps.failed(Hop.PUSH, why)


@asynccontextmanager
async def _beside(
    runners: list[Coroutine[Any, Any, None]],
) -> AsyncIterator["asyncio.Future[None]"]:
    """Run listeners while the context lasts; the future gets the error of one that fails."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def watched(runner: Coroutine[Any, Any, None]) -> None:
        try:
            await runner
        except LineDown as error:
            if not failed.done():
                failed.set_exception(error)

    tasks = [asyncio.create_task(watched(runner), name="commissioning") for runner in runners]
    try:
        yield failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if failed.done():
            failed.exception()  # seen, even where nobody asked for it
        failed.cancel()


async def _ask_broker(config: GatewayConfig, steps: Steps) -> None:
    broker = config.broker
    try:
        shown = Holding(broker.certificate) if broker.certificate is not None else None
    except ConfigError as error:
        steps.failed(Hop.BROKER, str(error))
        return
    account = Account(
        broker.host,
        broker.port,
        f"{config.gateway}-commission" if shown is None else config.gateway,
        broker.username,
        partial(load_password, broker.password_file),
        broker.tls_ca,
        broker.keepalive_s,
        shown,
    )
    try:
        await reach(account)
    except (BrokerRefused, ConfigError) as error:
        steps.failed(Hop.BROKER, str(error))
    except BrokerUnreachable as error:
        steps.left_out(
            Hop.BROKER,
            f"could not be reached: {error}",
            "Readings wait in the gateway until it can; check again once there is a network.",
        )
    else:
        steps.passed(Hop.BROKER, f"{broker.host}:{broker.port} takes the account")
