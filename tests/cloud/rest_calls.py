"""The REST application as people ask it: who they are, and what they ask for."""

from typing import Any

import httpx
import numpy as np
from hesper_cloud.stores.port import Block, Integers, Quantity

METER, PROTECTED, GATEWAY = "HES12642984", "HES12642985", "gw-1"
LOAD_PROFILE, ENERGY, POWER = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255"
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
CALENDAR = {
    "name": "2027",
    "seasons": [{"name": "S", "month": 1, "day": 1, "week": "W"}],
    "weeks": [{"name": "W", "day_ids": [1] * 7}],
    "days": [{"day_id": 1, "switches": [{"at": "06:00:00", "script": 1}]}],
    "activate_at": None,
}


def readings_block(last: int, count: int = 96) -> Block:
    times = np.arange(last - 900 * (count - 1), last + 1, 900, dtype=np.int64)
    energy = 1_000_000 + 125 * np.arange(count, dtype=np.int64)
    power = np.full(count, 500, dtype=np.int64)
    quantities = (Quantity(POWER, 0, 27), Quantity(ENERGY, 0, 30))
    return block_of_one(METER, quantities, times, np.stack([power, energy]))


def block_of_one(
    meter: str, quantities: tuple[Quantity, ...], times: Integers, values: Integers
) -> Block:
    """What one meter captured, values by quantity and time; received with the last of it."""
    zeros = np.zeros(len(times), dtype=np.int64)
    return Block(
        profile=LOAD_PROFILE,
        quantities=quantities,
        meters=(meter,),
        meter_index=zeros,
        captured_at=times,
        clock_status=zeros,
        quality=zeros,
        received_at=int(times[-1]),
        values=values,
        missing=None,
    )


async def bearer(client: httpx.AsyncClient, who: str) -> dict[str, str]:
    body = {"username": who, "password": PASSWORDS[who]}
    answer = await client.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def get(client: httpx.AsyncClient, who: dict[str, str], path: str, **query: Any) -> Any:
    answer = await client.get(f"/api/v1{path}", headers=who, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(client: httpx.AsyncClient, who: dict[str, str], key: str, **changes: Any) -> Any:
    body = {
        "meter": METER,
        "action": "disconnect",
        "reason": "unpaid since March",
        "serial_tail": METER[-4:],
    }
    headers = who | {"Idempotency-Key": key}
    return await client.post("/api/v1/commands", json=body | changes, headers=headers)


async def wish(client: httpx.AsyncClient, who: dict[str, str], key: str, **body: Any) -> Any:
    headers = who | {"Idempotency-Key": key}
    return await client.post("/api/v1/commands", json={"meter": METER} | body, headers=headers)
