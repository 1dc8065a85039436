"""Scenario files: every mistake with its line, targets, times; played on a running fleet."""

from __future__ import annotations

import json

import pytest
from hesper_sim.cli import cli
from hesper_sim.conductor import Conductor
from hesper_sim.district import District
from hesper_sim.errors import ScenarioError
from hesper_sim.faults import DEFAULTS, HELP, Fault
from hesper_sim.fleet import FleetSettings, Kind, plan
from hesper_sim.history import History
from hesper_sim.journal import Forgetful
from hesper_sim.scenario import parse
from typer.testing import CliRunner

FLEET = plan(FleetSettings(tcp=20, shared=10, dial_in=0, rs485=4, push=False))
START = 1_800_000_000.0


def one(text: str):
    (entry,) = parse(f"[[fault]]\n{text}", FLEET).entries
    return entry


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('[[fault]]\nname = "silnt"', 2, "did you mean 'silent'"),
        ("[[fault]]\nvalue = 3", 1, "needs its name"),
        ('[[fault]]\nname = "slow"\n\nvalue = "3"', 4, "a number"),
        ('[[fault]]\nname = "slow"\nevry = "3s"', 3, "did you mean 'every'"),
        ('[[fault]]\nname = "slow"\n[[fault]]\nname = "slow"\nfor = "3 weeks"', 5, "500ms"),
        ('[[fault]]\nname = "slow"\nfrom = "noon"', 3, "2026-11-21T10:00:00Z"),
        ('[[fault]]\nname = "slow"\nfrom = "2026-11-21T10:00:00"', 3, "with its zone"),
        ('[[fault]]\nname = "slow"\nevery = "1m"', 3, "needs a `for`"),
        ('[[fault]]\nname = "slow"\nfor = "2m"\nevery = "1m"', 4, "not longer"),
        ('[[fault]]\nname = "slow"\nmeters = ["HES1"]', 3, "no meter 'HES1'"),
        ('[[fault]]\nname = "slow"\nkind = "farm"', 3, "household"),
        ('[[fault]]\nname = "slow"\nline = "rs486"', 3, "no line"),
        ('[[fault]]\nname = "line_noise"\nline = "shared"', 3, "serial line"),
        ('[[fault]]\nname = "slow"\nshare = 1.5', 3, "between 0 and 1"),
        ('[[fault]]\nname = "slow"\nchance = -1', 3, "between 0 and 1"),
        ('[[fault]]\nname = "slow"\nfeeder = 99', 2, "no meter"),
        ('seed = "x"\n[[fault]]\nname = "slow"', 1, "integer"),
        ('fault = "slow"', 1, r"\[\[fault\]\]"),
        ('\nplan = 1\n[[fault]]\nname = "slow"', 2, "no 'plan'"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, line, reason):
    with pytest.raises(ScenarioError, match=reason) as told:
        parse(text, FLEET, "faults.toml")
    assert str(told.value).startswith(f"faults.toml:{line}: ")


@pytest.mark.parametrize("text", ["", "seed = 1", "[[fault]\n", 'name = "slow'])
def test_what_is_no_scenario_is_refused(text):
    with pytest.raises(ScenarioError, match=r"faults\.toml"):
        parse(text, FLEET, "faults.toml")


def test_targets_narrow_down_and_a_share_is_drawn_by_the_seed():
    assert len(one('name = "silent"').targets) == 34
    assert len(one('name = "silent"\nline = "shared"').targets) == 10
    solar = [each.serial for each in FLEET.meters if each.kind is Kind.SOLAR]
    assert list(one('name = "silent"\nkind = "solar"').targets) == solar
    both = one('name = "silent"\nkind = "solar"\nfeeder = 1').targets
    assert 0 < len(both) < 10
    drawn = one('name = "silent"\nshare = 0.25').targets
    assert len(drawn) == round(34 / 4)
    assert drawn == one('name = "silent"\nshare = 0.25').targets
    (other,) = parse('seed = 2\n[[fault]]\nname = "silent"\nshare = 0.25', FLEET).entries
    assert drawn != other.targets


def test_when_a_fault_is_there():
    entry = one('name = "silent"\nfrom = "10s"\nfor = "5s"\nevery = "20s"\nuntil = "60s"')
    there = {s for s in range(100) if entry.occurrence(START + s, START) is not None}
    assert there == {*range(10, 15), *range(30, 35), *range(50, 55)}
    assert entry.next_begin(START, START) == START + 10
    assert entry.next_begin(START + 31, START) == START + 50
    assert entry.next_begin(START + 55, START) is None
    absolute = one('name = "silent"\nfrom = "2027-01-15T08:00:00+01:00"')
    assert absolute.next_begin(0, START) == 1_799_996_400
    for_ever = one('name = "silent"')
    assert for_ever.occurrence(START + 1e9, START) == 0


def test_chance_is_drawn_for_each_meter_and_occurrence():
    entry = one('name = "silent"\nfor = "1s"\nevery = "2s"\nchance = 0.3')
    struck = [[entry.happens_to(serial, n) for serial in entry.targets] for n in range(50)]
    share = sum(map(sum, struck)) / (50 * len(entry.targets))
    assert 0.25 < share < 0.35
    assert len({tuple(each) for each in struck}) == 50


def test_a_conductor_begins_and_ends_faults():
    now = [START]
    district = District(FLEET, History(int(START), 900, 0), Forgetful(), lambda: now[0])
    text = (
        '[[fault]]\nname = "clock_jump"\nvalue = 60\nfrom = "10s"\nfor = "10s"\nshare = 0.5\n'
        '[[fault]]\nname = "cover_opened"\nfor = "1s"\nevery = "5s"\nline = "lan-1"\n'
    )
    conductor = Conductor(parse(text, FLEET), district, {})
    meters = list(district.meters.values())
    seen = []
    for step in range(30):
        now[0] = START + step
        conductor.step()
        seen.append((sum(each.drift_s == 60 for each in meters), len(meters[0].events)))
    jumped, events = zip(*seen, strict=True)
    assert jumped == (0,) * 10 + (17,) * 10 + (0,) * 10
    assert events[0] == 1
    assert events[-1] == 12
    first, second = conductor.report()
    assert (first["active"], first["next_at"]) == (False, None)
    assert second["next_at"] == START + 30


def test_every_fault_is_explained():
    assert set(HELP) == set(Fault)
    for fault, text in HELP.items():
        assert ("`value`" in text) == (fault in DEFAULTS), fault


def test_faults_can_be_listed_and_files_checked(tmp_path):
    table = CliRunner().invoke(cli, ["faults"])
    assert table.exit_code == 0
    assert "relay_welded" in table.output
    listed = json.loads(CliRunner().invoke(cli, ["faults", "--json"]).output)
    assert {each["fault"] for each in listed} == set(Fault)
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nname = "silent"\nshare = 0.5\n')
    assert (
        "1: silent, 30 targets"
        in CliRunner().invoke(cli, ["faults", "--scenario", str(path)]).output
    )


@pytest.mark.integration
def test_a_scenario_plays_on_a_running_fleet(start_simulator, wait_until, tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[fault]]\nname = "slow"\nvalue = 0.5\nline = "shared"\n'
        '[[fault]]\nname = "line_noise"\nline = "rs485"\nfrom = "1h"\n'
    )
    settings = FleetSettings(tcp=1, shared=2, dial_in=0, rs485=1, push=False)
    simulator = start_simulator(settings, "--scenario", str(path), "--history-days", "0")
    told = wait_until(lambda: simulator.ask(op="faults")["meters"])
    assert list(told.values()) == [{"slow": 0.5}] * 2
    scenario = simulator.ask(op="faults")["scenario"]
    assert [each["active"] for each in scenario] == [True, False]
    shown = CliRunner().invoke(cli, ["faults", "--state", str(simulator.state)])
    assert "2 struck" in shown.output
