"""Readings moved between stores: verified, resumable, by command."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud import cli
from hesper_cloud.settings import Settings
from hesper_cloud.stores import copying
from hesper_cloud.stores.copying import Content, CopyDiffers, Progress
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.opening import initialise, open_named
from hesper_cloud.stores.port import (
    Block,
    Group,
    Quantity,
    Reading,
    StoreInUse,
    StoreUnavailable,
    Written,
)
from typer.testing import CliRunner

DAY = 86_400
D0 = 20_697 * DAY
PROFILE, ENERGY = "1.0.99.1.0.255", "1.0.1.8.0.255"


def block(days: int, add: int = 0) -> Block:
    captured = np.tile(np.arange(D0, D0 + days * DAY, 3600), 2)
    none = np.zeros(len(captured), np.int64)
    missing = (captured % 7 == 0)[None, :]
    return Block(
        PROFILE, (Quantity(ENERGY, 0, 30),), ("M1", "M2"), np.repeat([0, 1], len(captured) // 2),
        captured, none, none, D0, (captured // 60 + add)[None, :], missing,
    )  # fmt: skip


@pytest.fixture
def full(tmp_path: Path) -> Iterator[DuckDbStore]:
    """Three days of two meters, some of them corrected twice, some of them sealed."""
    store = DuckDbStore(tmp_path / "full.duckdb")
    for add in range(3):
        store.write(Group({}, [block(3 if add == 0 else 1, add)], (D0 + add) * 1000))
    store.maintain(D0 + 3 * DAY)
    yield store
    store.close()


def everything(store: DuckDbStore) -> list[tuple[object, ...]]:
    rows = store.export(0, 2**33)
    return sorted((r.meter, r.captured_at, r.revision, r.quality, r.values) for r in rows)


def quiet(done: int, days: int, content: Content) -> None:
    del done, days, content


class Failing(DuckDbStore):
    """A store that is full after some groups, or takes readings and loses one."""

    groups = 10**6

    def write(self, group: Group) -> Written:
        if not self.groups:
            raise StoreUnavailable("full")
        self.groups -= 1
        return super().write(group)


class Forgetful(DuckDbStore):
    """A store that does not give back all that it took."""

    def export(self, start: int, end: int) -> Iterator[Reading]:
        return (each for each in super().export(start, end) if each.captured_at != D0 + 7200)


def test_a_copy_that_was_stopped_goes_on(full: DuckDbStore, tmp_path: Path) -> None:
    target = Failing(tmp_path / "target.duckdb")
    target.groups = 60
    with pytest.raises(StoreUnavailable):
        copying.copy(full, target, Progress(tmp_path / "done.json"), quiet)
    target.groups = 10**6
    told: list[tuple[int, int, int]] = []
    copied = copying.copy(
        full,
        target,
        Progress(tmp_path / "done.json"),
        lambda done, days, content: told.append((done, days, content.readings)),
    )
    assert everything(target) == everything(full)
    assert told[-1][:2] == (3, 3)
    assert copied == copying.content_of(full, 0, 2**33)
    assert (copied.readings, copied.revisions) == (2 * 72 + 84, 84)  # 42 of 48 rows twice
    target.groups = 0  # all days are done: nothing is written again
    assert copying.copy(full, target, Progress(tmp_path / "done.json"), quiet) == copied
    target.close()


def test_a_target_that_differs_is_told(full: DuckDbStore, tmp_path: Path) -> None:
    target = Forgetful(tmp_path / "target.duckdb")
    with pytest.raises(CopyDiffers, match="2026-09-01"):
        copying.copy(full, target, Progress(tmp_path / "done.json"), quiet)
    target.close()


@pytest.mark.integration
def test_by_command_to_influxdb_and_back(
    full: DuckDbStore, tmp_path: Path, influx_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(full)
    full.close()
    monkeypatch.chdir(tmp_path)
    influx = f"{influx_url}/copy-{secrets.token_hex(4)}"
    there = CliRunner().invoke(cli.app, ["store", "copy", "full.duckdb", influx, "--json"])
    assert there.exit_code == 0, there.output
    back = CliRunner().invoke(cli.app, ["store", "copy", influx, "back.duckdb"])
    assert back.exit_code == 0, back.output
    assert json.loads(there.stdout)["sha256"][:16] in back.output
    assert not list(tmp_path.glob("*.json"))
    again = open_named("back.duckdb")
    assert isinstance(again, DuckDbStore)
    assert everything(again) == before
    again.close()


def test_a_source_that_is_not_there_is_no_empty_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cloud.toml").write_text('state = "state"\n')
    for source in ("nope.duckdb", "cloud.toml"):
        ended = CliRunner().invoke(cli.app, ["store", "copy", source, "back.duckdb"])
        assert isinstance(ended.exception, FileNotFoundError)
    assert not list(tmp_path.rglob("*.duckdb"))


def test_the_influxdb_of_a_head_end_that_runs_is_no_target(
    full: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cloud.toml").write_text(
        'state = "state"\n[store]\nkind = "influx"\ninflux = {url = "http://127.0.0.1:9"}\n'
    )
    (tmp_path / "state").mkdir()
    held = "import duckdb; book = duckdb.connect('state/energy.duckdb'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as head_end:
        assert head_end.stdout is not None
        head_end.stdout.readline()
        ended = CliRunner().invoke(cli.app, ["store", "copy", "full.duckdb", "cloud.toml"])
        head_end.kill()
    assert isinstance(ended.exception, StoreInUse)


@pytest.mark.integration
def test_init_makes_file_or_database_with_its_retention(tmp_path: Path, influx_url: str) -> None:
    assert "kept for ever" in initialise(Settings(state=tmp_path))
    assert (tmp_path / "readings.duckdb").exists()
    name = f"init-{secrets.token_hex(4)}"
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'[store]\nkind = "influx"\n[store.retention]\nraw_days = 90\n'
        f'[store.influx]\nurl = "{influx_url}"\ndatabase = "{name}"\n'
    )
    for _ in range(2):
        made = CliRunner().invoke(cli.app, ["store", "init", "-c", str(config)])
        assert "kept for 90 days" in made.output
    import httpx

    shown = httpx.get(
        f"{influx_url}/query", params={"q": f'SHOW RETENTION POLICIES ON "{name}"'}, timeout=60.0
    )
    assert "2160h0m0s" in shown.text
    kept = httpx.get(
        f"{influx_url}/query",
        params={"q": f'SHOW RETENTION POLICIES ON "{name}-ledger"'},
        timeout=60.0,
    )
    assert '"0s"' in kept.text
    text = config.read_text().replace("raw_days = 90", 'raw_days = 90\narchive = "/mnt/archive"')
    config.write_text(text)  # the server may remove nothing by itself any more
    made = CliRunner().invoke(cli.app, ["store", "init", "-c", str(config)])
    assert "kept for 90 days, then archived" in made.output
    shown = httpx.get(
        f"{influx_url}/query", params={"q": f'SHOW RETENTION POLICIES ON "{name}"'}, timeout=60.0
    )
    assert '"0s"' in shown.text
