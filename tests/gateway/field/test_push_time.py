"""Pushes without a date at a gateway whose clock was wrong when it started."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_contracts import batch, columns, requests
from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.building import build_core, build_field
from hesper_gateway.config import load
from hesper_gateway.database import Database
from hesper_gateway.timeproof import TimeProof
from hesper_sim import capture

TRUE = datetime(2026, 9, 21, 14, tzinfo=UTC)
UNDATED = next(each for each in capture.load_all() if each.name == "aidon-6515-1phase")
AUTHORITY = Signer.generate()
GATEWAY_TOML = f"""\
gateway = "gw-1"
state = "state"
[broker]
host = "127.0.0.1"
[keys]
signing = "gateway.key"
commands = {{ "{AUTHORITY.key_id}" = "{AUTHORITY.public_key.hex()}" }}
receipts = {{ "{AUTHORITY.key_id}" = "{AUTHORITY.public_key.hex()}" }}
[[lines]]
name = "push"
kind = "push-tcp"
port = 4059
[[meters]]
id = "{UNDATED.meter}"
line = "push"
template = "push-aidon"
"""


def proven(behind: timedelta) -> TimeProof:
    """The authority has said what time it is; the machine's clock says something else."""
    proof = TimeProof("gw-1", Keyring.of(AUTHORITY.public_key), lambda: 0.0, lambda: TRUE - behind)
    asked = requests.request_from_payload(proof.ask(), "gw-1")
    assert isinstance(asked, TimeRequest)
    told = TimeAnswer(gateway="gw-1", nonce=asked.nonce, time=TRUE)
    assert proof.accept(requests.answer_to_payload(told, AUTHORITY))
    return proof


@pytest.mark.parametrize(
    ("behind_s", "expected_s"), [(6 * 365 * 86400, 0), (-3600, 0), (11, 0), (2, -2)]
)
async def test_an_undated_push_is_stored_at_the_proven_time_where_the_clock_is_wrong(
    tmp_path: Path, behind_s: int, expected_s: int
) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML, encoding="utf-8")
    AUTHORITY.save(tmp_path / "gateway.key")
    config = load(tmp_path / "gateway.toml")
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    core = build_core(config, database)
    core.time_proof = proven(timedelta(seconds=behind_s))
    field = build_field(config, core)
    gathering = asyncio.create_task(core.gathering.run())
    try:
        await field.ports[0].new_sink()(UNDATED.octets(0))
        stored = [core.outbox.load(each) for each in core.outbox.readings_after(-1, 10)]
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)
        await field.aclose()
        database.close()
    (found,) = [each for each in stored if each is not None and each.kind is Kind.READINGS]
    opened = batch.open_(found.payload)
    (section,) = columns.decode(opened.body, opened.header.encoding)
    assert list(section.captured_at) == [int(TRUE.timestamp()) + expected_s]
    assert list(section.quality) == [Quality.CLOCK_DOUBTFUL | Quality.TIME_ASSUMED]
