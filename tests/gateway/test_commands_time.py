"""Proven time: only a signed answer to our own fresh nonce, and never behind."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hesper_contracts import requests
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.requests import TimeAnswer
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_gateway.timeproof import MOST_ASKED, TimeProof

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORITY = Signer.generate()


class Clock:
    """Seconds since boot, turned by the test."""

    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def proof(clock: Clock) -> TimeProof:
    return TimeProof("gw-1", Keyring.of(AUTHORITY.public_key), clock)


def answered(
    request: bytes, key: Signer = AUTHORITY, gateway: str = "gw-1", time: datetime = NOON
) -> bytes:
    nonce = requests.request_from_payload(request, "gw-1").nonce
    return requests.answer_to_payload(TimeAnswer(gateway=gateway, nonce=nonce, time=time), key)


async def test_carries_the_answer_on_and_is_never_behind(proof: TimeProof, clock: Clock) -> None:
    assert proof.now() is None
    request = proof.ask()
    clock.seconds += 3
    assert proof.accept(answered(request))
    assert proof.now() == NOON + timedelta(seconds=3)
    clock.seconds += 86400
    assert proof.now() == NOON + timedelta(seconds=86403)


async def test_a_forged_or_foreign_answer_proves_nothing(proof: TimeProof) -> None:
    request = proof.ask()
    with pytest.raises(Forged):
        proof.accept(answered(request, key=Signer.generate()))
    with pytest.raises(Refused):
        proof.accept(answered(request, gateway="gw-2"))
    assert proof.now() is None


async def test_an_answer_counts_once_and_in_time(proof: TimeProof, clock: Clock) -> None:
    late = answered(proof.ask())
    clock.seconds += 11
    assert not proof.accept(late)
    fresh = answered(proof.ask())
    assert proof.accept(fresh)
    assert not proof.accept(fresh)


async def test_old_nonces_are_forgotten(proof: TimeProof) -> None:
    first = proof.ask()
    for _ in range(MOST_ASKED):
        proof.ask()
    assert not proof.accept(answered(first))


async def test_asks_when_connected_and_at_once_when_the_authority_comes(proof: TimeProof) -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def publish(kind: Kind, payload: bytes) -> bool:
        assert kind is Kind.REQUESTS
        asked.put_nowait(payload)
        return True

    connected = asyncio.Event()
    running = asyncio.create_task(proof.run(publish, connected))
    connected.set()
    async with asyncio.timeout(60):
        await asked.get()
        proof.hurry()
        request = await asked.get()
    assert proof.accept(answered(request))
    assert await proof.wait(0) is not None
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_proof_is_renewed_when_it_is_asked_for_and_not_all_the_time(
    proof: TimeProof, clock: Clock
) -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def publish(_: Kind, payload: bytes) -> bool:
        asked.put_nowait(payload)
        return True

    connected = asyncio.Event()
    connected.set()
    running = asyncio.create_task(proof.run(publish, connected))
    async with asyncio.timeout(60):
        assert proof.accept(answered(await asked.get()))
        await proof.renew(60)  # it is of now
        assert asked.empty()
        clock.seconds += 60
        waiting = [asyncio.create_task(proof.renew(60)) for _ in range(9)]
        assert proof.accept(answered(await asked.get(), time=NOON - timedelta(hours=1)))
        await asyncio.gather(*waiting)
    assert asked.empty()
    assert proof.now() == NOON - timedelta(hours=1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
