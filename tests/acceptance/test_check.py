"""`./hesper demo --check` as a newcomer runs it, on both stores."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FIELDS = [
    "setup_s",
    "latched",
    "stored",
    "lost",
    "duplicated",
    "altered",
    "phantom",
    "latch_to_store_p99_ms",
    "relay_confirmed_ms",
    "captured_values_expected",
    "captured_values_matched",
    "ok",
]


@pytest.mark.acceptance
@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["duckdb", "influx"])
def test_every_value_is_accounted_for(store: str, tmp_path: Path) -> None:
    if store == "influx" and not shutil.which("influxd"):
        pytest.skip("influxd is not installed")
    check = [sys.executable, "-m", "hesper_lab", "demo", "--check", "--json", "--no-install"]
    run = subprocess.run(
        [*check, "--store", store, "--state", tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert list(report) == FIELDS
    assert report["ok"] is True
    assert report["latched"] == report["stored"] > 0
    assert [report[name] for name in ("lost", "duplicated", "altered", "phantom")] == [0] * 4
    assert report["captured_values_matched"] == report["captured_values_expected"] > 0
    assert report["relay_confirmed_ms"] > 0
