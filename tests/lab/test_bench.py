"""Benchmarks: their rows are there, in their units, and what was measured had the right values.

Not how fast: that depends on the machine.
"""

from __future__ import annotations

import json

import pytest
from hesper_lab.bench import dlms_profile, dlms_services, peers, report, rows, sim

NONE_INSTALLED: tuple[peers.Peer, ...] = ()
_BRIEFLY_S = 0.05


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    more = rows.row("a", 300.0, "rows/s", peer=("slow", 100.0))
    less = rows.row("b", 20.0, "µs", peer=("slow", 100.0))
    assert (more["ratio"], more["better"]) == (3.0, "higher")
    assert (less["ratio"], less["better"]) == (5.0, "lower")
    assert rows.row("c", 1.0, "MB")["ratio"] is None


def test_rows_of_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "ALL", NONE_INSTALLED)
    found = {row["name"]: row for row in dlms_services.run(_BRIEFLY_S)}
    assert set(found) == {"dlms.get.ciphered", "dlms.association.gmac"}
    for row, target in zip(found.values(), (40.0, 500.0), strict=True):
        assert (row["unit"], row["target"], row["better"]) == ("µs", target, "lower")
        assert row["value"] > 0


@pytest.mark.parametrize("peer", peers.ALL, ids=lambda peer: str(peer.name))
def test_a_peer_decodes_the_same_profile_and_reads_the_same_meter(peer: peers.Peer) -> None:
    """Its process ends with an error where a value is another one."""
    pytest.importorskip(peer.requires)
    assert dlms_services.peer_us(peer, "get", _BRIEFLY_S)
    octets = dlms_profile.profile_answer()
    assert set(dlms_profile.peer_rates("plain", octets, (peer,), _BRIEFLY_S)) == {peer.name}


def test_rows_of_the_simulator_with_a_small_fleet() -> None:
    found = {row["name"]: row for row in sim.measure(20, _BRIEFLY_S)}
    units = {name: row["unit"] for name, row in found.items()}
    assert units == {
        "sim.get": "GET/s",
        "sim.get_wall": "GET/s",
        "sim.get_memory": "GET/s",
        "sim.rss_mb": "MB",
        "sim.sessions": "sessions",
    }
    assert found["sim.sessions"]["value"] == 20
    assert found["sim.rss_mb"]["better"] == "lower"


def test_a_benchmark_prints_json_or_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [rows.row("sim.get", 60_000.0, "GET/s", 50_000.0)]
    monkeypatch.setattr(sim, "run", lambda: only)
    report.run("sim", as_json=True)
    assert json.loads(capsys.readouterr().out) == only
    report.run("sim", as_json=False)
    assert "60,000" in capsys.readouterr().out


def test_a_narrow_table_cuts_no_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "cpu: head end: store's threads, web, jobs under way (28%)"
    peer = ("its own lines", 71_000.0)
    found = [
        rows.row("ingest.columnar.influx", 1_058_000.0, "readings/s", 1_000_000.0, peer=peer),
        rows.row(name, 1.5, "s/million"),
    ]
    monkeypatch.setattr(sim, "run", lambda: found)
    monkeypatch.setenv("COLUMNS", "70")
    report.run("sim", as_json=False)
    shown = capsys.readouterr().out
    assert all(each in shown for each in ("1,058,000", "≥ 1,000,000", "71,000", "1.5"))
    assert "…" not in shown
