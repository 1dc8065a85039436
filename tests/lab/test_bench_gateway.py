"""`./hesper bench gateway`: its rows are there, and peers read the same day as we do."""

from __future__ import annotations

import shutil

import pytest
from hesper_lab.bench import (
    gateway_agent,
    gateway_cycles,
    gateway_images,
    gateway_often,
    peers,
)

_BRIEFLY_S = 0.05
NOBODY: tuple[peers.Peer, ...] = ()


def test_a_cycle_reads_a_whole_day() -> None:
    """It ends with an error where the day has not its 96 rows."""
    row, reused, *_ = gateway_cycles.run(_BRIEFLY_S, NOBODY)
    assert (row["name"], row["unit"], row["better"]) == ("gateway.cycles", "cycles/s", "higher")
    assert (reused["name"], reused["peer_value"]) == ("gateway.cycles.reused", row["value"])
    assert row["value"] > 0


def test_the_peer_reads_the_same_rows() -> None:
    """Its process ends with an error where a row is another one."""
    pytest.importorskip("gurux_dlms")
    *rows, _, engine = gateway_cycles.run(_BRIEFLY_S)
    assert [row["peer"] for row in rows] == [peer.name for peer in gateway_cycles.PEERS]
    assert (engine["name"], engine["peer"]) == ("gateway.cycles.engine_gurux", "our own stack")


@pytest.mark.integration
def test_an_image_reaches_the_meter_over_both_kinds_of_line() -> None:
    """It ends with an error where the meter has not verified it."""
    tcp, serial = gateway_images.run(8192)
    assert (tcp["name"], serial["name"]) == ("gateway.image.tcp", "gateway.image.serial_9600")
    assert tcp["value"] > 0
    assert 300 < serial["value"] < 960


@pytest.mark.integration
def test_rows_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_agent, "_RESTARTED_S", _BRIEFLY_S)
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("mosquitto is not installed")
    found = {row["name"]: row for row in gateway_agent.run(3, _BRIEFLY_S)}
    assert set(found) == {"gateway.rss_mb", "gateway.rss_mb.first_reading", "gateway.idle_cpu"}
    assert found["gateway.rss_mb"]["value"] > 5
    assert found["gateway.idle_cpu"]["better"] == "lower"


@pytest.mark.integration
def test_every_tick_of_34_values_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with an error where a row has not all of them."""
    monkeypatch.setattr(gateway_often, "EVERY_S", 1)
    monkeypatch.setattr(gateway_often, "_SETTLE_S", 1)
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        pytest.skip("mosquitto is not installed")
    found = {row["name"]: row["value"] for row in gateway_often.run(2, 3.0)}
    assert found["gateway.34x34.rss_mb_end"] > 10
    assert found["gateway.34x34.missed"] <= 2


def test_a_gap_is_a_missed_tick() -> None:
    assert gateway_often.missed_between([100, 110, 121, 130]) == 0
    assert gateway_often.missed_between([100, 110, 130, 170]) == 4
