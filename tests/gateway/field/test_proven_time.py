"""What comes without a date, at a gateway whose clock was wrong when it started."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import batch, columns, requests
from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.signing import Keyring, Signer
from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_gateway.building import Core, Field, build_core, build_field
from hesper_gateway.config import load
from hesper_gateway.database import Database
from hesper_gateway.sessions.clock import CLOCK_CLASS
from hesper_gateway.timeproof import TimeProof
from hesper_gateway.visit import Work
from hesper_sim import capture

TRUE = datetime(2026, 9, 21, 14, tzinfo=UTC)
UNDATED = next(each for each in capture.load_all() if each.name == "aidon-6515-1phase")
AUTHORITY = Signer.generate()
TOP = f"""\
gateway = "gw-1"
state = "state"
[broker]
host = "127.0.0.1"
[keys]
signing = "gateway.key"
commands = {{ "{AUTHORITY.key_id}" = "{AUTHORITY.public_key.hex()}" }}
receipts = {{ "{AUTHORITY.key_id}" = "{AUTHORITY.public_key.hex()}" }}
"""
PUSHES = f"""\
[[lines]]
name = "push"
kind = "push-tcp"
port = 4059
[[meters]]
id = "{UNDATED.meter}"
line = "push"
template = "push-aidon"
"""
POLLED = """\
[[lines]]
name = "test"
kind = "tcp"
host = "127.0.0.1"
port = {port}
[[meters]]
id = "{meter}"
line = "test"
template = "hesper-sim"
logical_device_name = "{name}"
keys_file = "meter.json"
"""
UNTOLD = axdr.octet_string(b"\xff" * 12)


def proven(behind: timedelta) -> TimeProof:
    """The authority has said what time it is; the machine's clock says something else."""
    proof = TimeProof("gw-1", Keyring.of(AUTHORITY.public_key), lambda: 0.0, lambda: TRUE - behind)
    asked = requests.request_from_payload(proof.ask(), "gw-1")
    assert isinstance(asked, TimeRequest)
    told = TimeAnswer(gateway="gw-1", nonce=asked.nonce, time=TRUE)
    assert proof.accept(requests.answer_to_payload(told, AUTHORITY))
    return proof


@asynccontextmanager
async def gateway(folder: Path, meters: str, behind_s: int) -> AsyncIterator[tuple[Core, Field]]:
    (folder / "gateway.toml").write_text(TOP + meters, encoding="utf-8")
    AUTHORITY.save(folder / "gateway.key")
    config = load(folder / "gateway.toml")
    database = Database(folder / "gateway.db", ballast_octets=0)
    core = build_core(config, database)
    core.time_proof = proven(timedelta(seconds=behind_s))
    field = build_field(config, core)
    gathering = asyncio.create_task(core.gathering.run())
    try:
        yield core, field
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)
        await field.aclose()
        database.close()


def stored(core: Core) -> list[tuple[int, int, int]]:
    """Returns received_at, captured_at and quality of every row in the outbox."""
    rows = []
    for place in core.outbox.readings_after(-1, 10):
        found = core.outbox.load(place)
        assert found is not None
        if found.kind is Kind.READINGS:
            opened = batch.open_(found.payload)
            for each in columns.decode(opened.body, opened.header.encoding):
                times = zip(each.captured_at, each.quality, strict=True)
                rows += [(each.received_at, at, quality) for at, quality in times]
    return rows


OFF = [(6 * 365 * 86400, 0), (-3600, 0), (11, 0), (2, -2)]


@pytest.mark.parametrize(("behind_s", "expected_s"), OFF)
async def test_an_undated_push_is_stored_at_the_proven_time_where_the_clock_is_wrong(
    tmp_path: Path, behind_s: int, expected_s: int
) -> None:
    async with gateway(tmp_path, PUSHES, behind_s) as (core, field):
        await field.ports[0].new_sink()(UNDATED.octets(0))
        (found,) = stored(core)
    assert found[1] == int(TRUE.timestamp()) + expected_s
    assert found[2] == Quality.CLOCK_DOUBTFUL | Quality.TIME_ASSUMED


@pytest.mark.parametrize("is_dated", [True, False])
@pytest.mark.parametrize(("behind_s", "expected_s"), OFF)
async def test_a_meter_is_polled_by_the_proven_time_where_the_clock_is_wrong(
    bench: Any, tmp_path: Path, behind_s: int, expected_s: int, is_dated: bool
) -> None:
    class Meter(bench.Meter):  # type: ignore[misc]
        def _value(self, attribute: CosemAttribute, *asked: Any) -> Any:
            is_clock = attribute.class_id == CLOCK_CLASS
            return UNTOLD if is_clock and not is_dated else super()._value(attribute, *asked)

    meter = Meter(TRUE.timestamp)
    server = LogicalServer(meter)
    serving = partial(answer, bench, server)
    async with await asyncio.start_server(serving, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        text = POLLED.format(port=port, meter=bench.SERIAL, name=bench.NAME)
        keep_keys(tmp_path, meter.security)
        async with gateway(tmp_path, text, behind_s) as (core, field):
            visitor = field.rounds[0]._stops[bench.SERIAL].visitor
            visited = await visitor.visit({Work.SNAPSHOT})
            assert visited.failure is None
            (found,) = stored(core)
    now = int(TRUE.timestamp()) + expected_s
    assert found[:2] == (now, int(TRUE.timestamp()) if is_dated else now)
    assert visitor.clock is not None
    assert visitor.clock.drift_s == (-expected_s if is_dated else 0)


async def answer(
    bench: Any, server: LogicalServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await bench.serve(ServerConnection(server, WrapperServerLink(1)), reader, writer)


def keep_keys(folder: Path, settings: SecuritySettings) -> None:
    names = ("encryption_key", "authentication_key")
    keys = {name: getattr(settings, name).hex() for name in names}
    (folder / "meter.json").write_text(json.dumps(keys), encoding="utf-8")
    (folder / "meter.json").chmod(0o600)
