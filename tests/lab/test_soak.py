"""The pieces of a soak; the soak itself takes an hour and is run by hand."""

import os
import threading
from pathlib import Path

import pytest
from hesper_lab.reconcile import Account
from hesper_lab.running import fleet_of
from hesper_lab.site import Site
from hesper_lab.soak import report, run
from hesper_lab.soak.gauge import Gauge, Sample, cpu_share
from hesper_sim import scenario

MINUTES = 10


def sample(at: float, rss_mb: float, cpu_s: float = 0.0) -> Sample:
    return Sample(at, rss_mb, cpu_s, threads=4, descriptors=20)


@pytest.fixture
def site(tmp_path):
    opened = Site.open(tmp_path, run.wishes(tmp_path, MINUTES, "duckdb"))
    yield opened
    opened.lock.close()


def test_the_scenario_fits_the_fleet_and_leaves_the_end_calm(site):
    fleet = fleet_of(site)
    faults = scenario.load(Path(site.wishes.scenario), fleet)
    assert len(fleet.meters) == 100
    assert {meter.access for meter in fleet.meters} == {"tcp", "shared", "dial-in", "rs485"}
    coming = [entry.until.at(0.0) for entry in faults.entries if entry.every_s]
    assert coming
    assert set(coming) == {MINUTES * 60 - 120.0}
    assert all(entry.duration_s < 120 for entry in faults.entries if entry.every_s)


def test_a_gauge_samples_a_process_until_it_is_stopped():
    gauge = Gauge(os.getpid(), period_s=0.01)
    enough = threading.Event()
    for _ in range(500):
        if len(gauge.samples) > 2:
            break
        enough.wait(0.01)
    samples = gauge.stop()
    assert len(samples) > 2
    assert samples[-1].rss_mb > 1
    assert samples[-1].cpu_s >= samples[0].cpu_s
    assert samples == sorted(samples, key=lambda each: each.at)


def test_shares_of_a_core_and_lines_of_blocks():
    assert cpu_share([sample(0, 1, 1.0), sample(10, 1, 1.5)]) == pytest.approx(0.05)
    assert cpu_share([sample(3, 1, 1.0)]) == 0.0
    assert report.spark([1.0, 2.0, 8.0]) == "▁▂█"
    assert len(report.spark([float(each) for each in range(1000)])) <= 60


def test_growth_is_told_by_the_first_and_the_last_quarter():
    samples = tuple(sample(at, 60.0 + at / 10, at / 100) for at in range(100))
    found = run.Soaked(60, 100, Account(), samples, 3.0, {"timeout": 2}, ()).to_json()
    assert found["rss_mb_warm"] < found["rss_mb_end"]
    assert found["cpu_end"] == pytest.approx(0.01)
    assert found["ok"] is True
