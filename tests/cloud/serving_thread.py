"""The web process's server on a thread of its own, as it listens in real life."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from hesper_cloud.api import serving
from hesper_cloud.api.application import create_app, with_memory
from hesper_cloud.services.bundle import Services

STARTS_WITHIN_S = 60.0


class Server:
    """One server; ``port`` is the one it found free."""

    def __init__(self, services: Services) -> None:
        web = services.sources.settings.web
        self.certificate = serving.Certificate(web.tls) if web.tls else None
        app = create_app(services, services.sources.settings)
        config = serving.configured(with_memory(app), services, self.certificate)
        self._server = uvicorn.Server(config)
        self._services = services
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def port(self) -> int:
        found: int = self._server.servers[0].sockets[0].getsockname()[1]
        return found

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(STARTS_WITHIN_S), "the server does not start"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        web = asyncio.ensure_future(self._server.serve())
        accounts = asyncio.ensure_future(self._services.accounts.run())
        live = asyncio.ensure_future(self._services.live.run())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it by nothing else
            await asyncio.sleep(0.005)
        self._is_up.set()
        await web
        for task in (accounts, live):
            task.cancel()
        await asyncio.gather(accounts, live, return_exceptions=True)


@contextmanager
def serving_of(services: Services) -> Iterator[Any]:
    """Serves until the end of the block."""
    server = Server(services)
    server.start()
    try:
        yield server
    finally:
        server.stop()
