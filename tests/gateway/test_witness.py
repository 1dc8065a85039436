"""A gateway as witness: what it keeps outlasts power cuts, and contradictions are told."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hesper_contracts import witness
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_contracts.witness import MOST_TOLD, Checkpoint
from hesper_gateway.witness import MOST_HELD, MOST_WAITING, Witness, held_in

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
AUTHORITY = Signer.generate()
KEYS = Keyring.of(AUTHORITY.public_key)


def checkpoint(sequence: int, head: str = "", signer: Signer = AUTHORITY) -> bytes:
    said = Checkpoint(sequence=sequence, head=head or f"{sequence:064x}", at=NOW)
    return witness.to_payload(said, signer)


class Site:
    """A witness at work, what it has told and what it has alarmed of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: asyncio.Queue[bytes] = asyncio.Queue()
        self.alarms: list[tuple[str, str]] = []
        self.witness = Witness("gw-1", path, KEYS, lambda code, text: self.raised(code, text))

    def raised(self, code: str, text: str) -> None:
        self.alarms.append((code, text))

    async def publish(self, kind: Kind, payload: bytes) -> bool:
        assert kind is Kind.WITNESS
        self.told.put_nowait(payload)
        return True

    async def hear(self, *payloads: bytes) -> list[Checkpoint]:
        """Lets checkpoints come; returns what is told after the last of them."""
        for payload in payloads:
            self.witness.receive(payload)
            async with asyncio.timeout(60):
                answer = await self.told.get()
        told = witness.testimony_from_payload(answer, "gw-1").checkpoints
        return [witness.from_payload(each, KEYS) for each in told]


@asynccontextmanager
async def at_work(path: Path) -> AsyncIterator[Site]:
    site = Site(path)
    work = asyncio.create_task(site.witness.run(site.publish))
    try:
        yield site
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def test_what_comes_is_on_disk_before_it_is_told_and_there_after_a_restart(tmp_path):
    path = tmp_path / "state" / "witness"
    async with at_work(path) as site:
        told = await site.hear(checkpoint(5), checkpoint(9), checkpoint(9))
        assert [each.sequence for each in told] == [5, 9]
        assert held_in(path) == [checkpoint(5), checkpoint(9)]
    async with at_work(path) as site:
        told = await site.hear(checkpoint(12))
        assert [each.sequence for each in told] == [5, 9, 12]
        assert site.alarms == []
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (checkpoint(4), "had 9 rows and is shown with 4"),
        (checkpoint(9, head="f" * 64), "row 9 of the audit log was another"),
    ],
)
async def test_a_log_that_says_otherwise_than_before_is_alarmed_of_and_both_are_kept(
    tmp_path, second, told
):
    async with at_work(tmp_path / "witness") as site:
        held = await site.hear(checkpoint(9), second)
        ((code, text),) = site.alarms
        assert (code, told in text, len(held)) == ("gateway.audit_contradicted", True, 2)


async def test_a_retained_checkpoint_that_comes_again_is_no_contradiction(tmp_path):
    async with at_work(tmp_path / "witness") as site:
        await site.hear(checkpoint(5), checkpoint(9), checkpoint(5))
        assert site.alarms == []


@pytest.mark.parametrize("cut", [1, 20, 150])
async def test_a_line_that_a_power_cut_left_half_costs_that_line_alone(tmp_path, cut):
    path = tmp_path / "witness"
    async with at_work(path) as site:
        await site.hear(checkpoint(5), checkpoint(9))
    path.write_bytes(path.read_bytes()[:-cut])
    async with at_work(path) as site:
        told = await site.hear(checkpoint(12))
    assert [each.sequence for each in told if each.sequence != 9] == [5, 12]


async def test_a_file_that_cannot_be_read_keeps_no_gateway_from_starting(tmp_path):
    (tmp_path / "witness").mkdir()
    async with at_work(tmp_path / "witness") as site:
        site.witness.receive(checkpoint(5))
        async with asyncio.timeout(60):
            while not site.alarms:  # noqa: ASYNC110 - the alarm is a plain call
                await asyncio.sleep(0.01)
        assert [code for code, _ in site.alarms] == ["gateway.witness_full"]


async def test_it_stays_small_and_what_is_long_ago_stays_witnessed(tmp_path):
    path = tmp_path / "witness"
    path.write_bytes(
        b"".join(base64.b64encode(checkpoint(n + 1)) + b"\n" for n in range(MOST_HELD))
    )
    async with at_work(path) as site:
        told = await site.hear(checkpoint(MOST_HELD + 1))
    held = held_in(path)
    assert (len(told), len(held)) == (MOST_TOLD, MOST_HELD + 1 - MOST_HELD // 4)
    assert (held[0], held[-1]) == (checkpoint(1), checkpoint(MOST_HELD + 1))


def test_forged_and_foreign_payloads_are_refused(tmp_path):
    keeper = Witness("gw-1", tmp_path / "witness", KEYS, lambda *_: None)
    with pytest.raises(Forged):
        keeper.receive(checkpoint(5, signer=Signer.generate()))
    for nonsense in (b"", b"HW1s", checkpoint(5)[:-3], b"HC1s" + checkpoint(5)[4:]):
        with pytest.raises(Refused):
            keeper.receive(nonsense)
    assert not (tmp_path / "witness").exists()


async def test_more_than_the_disk_takes_are_refused(tmp_path):
    keeper = Witness("gw-1", tmp_path / "witness", KEYS, lambda *_: None)
    for n in range(MOST_WAITING):
        keeper.receive(checkpoint(n + 1))
    with pytest.raises(Refused, match="faster than the disk"):
        keeper.receive(checkpoint(99))


async def test_a_file_that_cannot_be_written_is_told_and_ends_nothing(tmp_path):
    path = tmp_path / "witness"
    alarmed = asyncio.Event()
    async with at_work(path) as site:
        site.raised = lambda *_: alarmed.set()
        path.mkdir()
        site.witness.receive(checkpoint(5))
        async with asyncio.timeout(60):
            await alarmed.wait()
        path.rmdir()
        assert [each.sequence for each in await site.hear(checkpoint(9))] == [9]
