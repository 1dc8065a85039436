"""What the command line says by its exit code, and on which stream."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hesper_lab import check, cli, running, system
from hesper_lab.reconcile import reconcile
from hesper_lab.rest import StoredRow

RECORD = {
    "meter": "M1",
    "profile": "1.0.99.1.0.255",
    "captured_at": 1_700_000_000,
    "status": 0,
    "values": {"1.0.1.8.0.255": 5},
}
STORED = StoredRow("M1", "1.0.99.1.0.255", 1_700_000_000, 1_700_000_000_400, 0, 0, RECORD["values"])


def report(*stored: StoredRow) -> check.Report:
    account = reconcile([RECORD], [], stored)
    return check.Report(1.0, account, 400.0, 80.0, tuple(check.broken_promises(account)))


def test_a_run_that_kept_every_promise_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.conclude(report(STORED), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize(
    ("stored", "broken"),
    [
        ((), "lost"),
        ((STORED, STORED), "duplicated"),
        ((replace(STORED, values={"1.0.1.8.0.255": 6}),), "altered"),
        ((STORED, replace(STORED, meter="M2")), "phantom"),
    ],
)
def test_a_broken_promise_exits_with_1_and_its_reason(
    capsys: pytest.CaptureFixture[str], stored: tuple[StoredRow, ...], broken: str
) -> None:
    assert cli.conclude(report(*stored), as_json=True) == 1
    streams = capsys.readouterr()
    told = json.loads(streams.out)
    assert (told["ok"], told[broken]) == (False, 1)
    assert f"failed: {broken}" in streams.err
    assert cli.conclude(report(*stored), as_json=False) == 1
    assert broken in capsys.readouterr().out


def test_a_fleet_that_latched_nothing_proves_nothing() -> None:
    assert check.broken_promises(reconcile([], [], [])) == ["no meter latched anything"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["hesper", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_system_that_cannot_run_exits_with_3_and_the_command_to_type(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(running, "PACKAGES", tmp_path / "packages")
    monkeypatch.setenv("PATH", str(tmp_path))
    options = ("--check", "--json", "--no-install", "--state", tmp_path / "site")
    assert run(monkeypatch, "demo", *options) == 3
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "mosquitto is needed. Type:" in streams.err
    assert "sudo apt-get install mosquitto" in streams.err


@pytest.mark.parametrize(
    "arguments", [("demo", "--store", "oracle"), ("demo", "--colour"), ("paint",), ("bench",)]
)
def test_misuse_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments) == 2


@pytest.mark.parametrize("option", ["--check", "--reset"])
def test_a_folder_of_other_things_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str
) -> None:
    precious = tmp_path / "duckdb" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    assert run(monkeypatch, "demo", option, "--no-install", "--state", tmp_path) == 3
    assert precious.read_text() == "years of work"
