"""The console on the double: an application like the cloud's, with its live WebSocket."""

import asyncio
import json
from dataclasses import asdict

from console_double.fleet import Fleet
from console_double.services import DoubleServices
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from hesper_ui import console
from hesper_ui.desk import COOKIE
from hesper_ui.services import NotAuthenticated


async def _frame(services: DoubleServices, token: str) -> dict[str, object]:
    actor = await services.accounts.actor_of(token)
    figures = asdict(await services.overview.figures(actor))
    at = int(figures.pop("at").timestamp() * 1000)
    changed, services.changed = services.changed, set()
    meter = next(iter(services.fleet.meters), None)
    latest = services.fleet.latest(meter) if meter else []
    commands = [{"id": c.id, "meter": c.meter, "state": c.state} for c in services.fleet.commands.values()]
    return {
        "t": at,
        "figures": {name: value for name, value in figures.items() if not name.startswith("oldest")},
        "latest": [
            {
                "meter": meter,
                "logical_name": row.logical_name,
                "value": row.value,
                "scaler": row.scaler,
                "captured_at": at,
            }
            for row in latest
        ],
        "commands": commands if "commands" in changed else [],
        "alerts": [{"id": a.id, "meter": a.meter} for a in services.fleet.alerts] if "alerts" in changed else [],
        "gateways": [],
    }


def create_app(services: DoubleServices) -> FastAPI:
    """Builds the application and mounts the console on it."""
    app = FastAPI()

    @app.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        token = socket.cookies.get(COOKIE, "")
        await socket.accept()
        try:
            while True:
                await socket.send_text(json.dumps(await _frame(services, token)))
                await asyncio.sleep(0.5)
        except (WebSocketDisconnect, NotAuthenticated):
            return

    console.mount(app, services)
    return app


def main() -> None:
    """Serves the double for looking at pages: python -m console_double.app (from tests/ui)."""
    import sys

    import uvicorn

    port = int(sys.argv[1]) if len(sys.argv) > 1 else 18990
    meters = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    uvicorn.run(create_app(DoubleServices(Fleet(meters))), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
