"""The console on the double: an application like the cloud's, with its live WebSocket."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import orjson
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from hesper_ui import console
from hesper_ui.desk import session_token
from hesper_ui.services import NotAuthenticated

from console_double.fleet import Fleet
from console_double.services import DoubleServices


async def _frame(services: DoubleServices, token: str, seen: Counter[str]) -> bytes:
    actor = await services.accounts.actor_of(token)
    changed = {kind for kind, count in services.changes.items() if count != seen[kind]}
    seen.update(services.changes - seen)
    fleet = services.fleet
    frame = {
        "server_time": datetime.now(UTC),
        "figures": await services.overview.figures(actor),
        "values": {
            meter: [
                (v.logical_name, v.value, v.scaler, v.unit, int(time.time()), int(time.time()), 0)
                for v in fleet.latest(meter)
            ]
            for meter in list(fleet.meters)[:5]
        },
        "commands": list(fleet.commands.values()) if "commands" in changed else [],
        "alerts": fleet.alerts if "alerts" in changed else [],
    }
    return orjson.dumps(frame, option=orjson.OPT_UTC_Z)


def create_app(services: DoubleServices) -> FastAPI:
    """Builds the application and mounts the console on it."""
    app = FastAPI()

    @app.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        token = session_token(socket, secure_cookies=False)
        await socket.accept()
        seen = Counter(services.changes)
        try:
            while True:
                await socket.send_text((await _frame(services, token, seen)).decode())
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
    uvicorn.run(
        create_app(DoubleServices(Fleet(meters))), host="127.0.0.1", port=port, log_level="warning"
    )


if __name__ == "__main__":
    main()
