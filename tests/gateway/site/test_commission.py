"""`hesper-gateway commission` beside simulated meters, as an installer runs it."""

import io
import json
import shutil
import sqlite3

import pytest
from hesper_contracts import events, results
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import site_commands
from hesper_gateway.commissioning import Outcome, Step
from rich.console import Console
from simulated_site import meter_text

pytestmark = pytest.mark.integration
HOPS = [
    "configuration",
    "line",
    "link",
    "public association",
    "reading association",
    "logical device name",
    "clock",
    "first reading",
    "relay state",
    "management association",
    "push",
    "broker",
]


def outcomes(steps):
    return {hop: step["outcome"] for hop, step in steps.items()}


def reserved(table, access):
    """How far counters of a meter are reserved on disk."""
    with sqlite3.connect(table.folder / "state" / "gateway.db") as connection:
        return connection.execute(
            "SELECT reserved FROM counters WHERE meter = ?", (table.meters[access]["serial"],)
        ).fetchone()[0]


@pytest.mark.parametrize("access", ["tcp", "rs485", "dial-in"])
def test_a_good_meter_passes_offline_and_says_that_the_broker_was_not_checked(table, access):
    code, steps = table.commission(access)
    assert list(steps) == HOPS
    open_hops = {hop for hop, outcome in outcomes(steps).items() if outcome != "pass"}
    assert open_hops == {"push", "broker"}
    assert "could not be reached" in steps["broker"]["found"]
    name = table.meters[access]["logical_device_name"]
    assert steps["logical device name"]["found"] == name
    assert "1.0.1.8.0.255" in steps["first reading"]["found"]
    assert "supply connected" in steps["relay state"]["found"]
    assert code == 0


def test_a_meter_of_the_compatibility_engine_passes_and_the_engine_is_named(table):
    pytest.importorskip("gurux_dlms")
    (table.folder / "templates").mkdir()
    (table.folder / "templates" / "by-gurux.toml").write_text(
        'extends = "hesper-sim"\ndescription = "the same by gurux"\nengine = "gurux"\n'
    )
    table.meters = {"tcp": table.meters["tcp"]}
    table.write(template="by-gurux")
    code, steps = table.commission("tcp")
    assert code == 0, steps
    assert steps["configuration"]["found"].endswith("template by-gurux, engine gurux")
    assert "supply connected" in steps["relay state"]["found"]
    assert "only reads" in steps["management association"]["found"]


def test_counters_come_from_the_reserve_and_none_comes_twice(table):
    table.commission("tcp")
    before = reserved(table, "tcp")
    table.commission("tcp")
    assert reserved(table, "tcp") >= before + 1000


def test_a_change_of_keys_that_the_walk_settles_is_told(table):
    """Nobody knew which keys the meter has; its association tells, and nothing else ever will."""
    serial = table.meters["tcp"]["serial"]
    path = table.folder / f"{serial}.json"
    keys = json.loads(path.read_text())
    path.write_text(json.dumps(keys | {"pending": {"command": "c-9"} | keys_alone(keys)}))
    assert table.commission("tcp")[0] == 0
    gateway = Signer.load(table.folder / "gateway.key").public_key
    with sqlite3.connect(table.folder / "state" / "gateway.db") as connection:
        rows = connection.execute("SELECT kind, payload FROM batches").fetchall()
    told = dict(rows)
    result = results.from_payload(told[Kind.RESULTS], Keyring.of(gateway), "gw-site")
    assert (result.command_id, result.state, result.findings.keys) == ("c-9", "confirmed", "new")
    assert [each.code for each in events.from_payload(told[Kind.EVENTS]).events] == [
        "meter.keys_changed"
    ]


def keys_alone(keys):
    return {name: keys[name] for name in ("encryption_key", "authentication_key")}


def test_a_broker_that_answers_passes(table, broker):
    table.broker_port = broker.port
    table.write()
    code, steps = table.commission("tcp")
    assert (code, steps["broker"]["outcome"]) == (0, "pass")


def test_a_broker_that_refuses_the_account_fails(table, broker_factory):
    table.broker_port = broker_factory("listener {port} 127.0.0.1\nallow_anonymous false\n").port
    table.write()
    code, steps = table.commission("tcp")
    assert (code, steps["broker"]["outcome"]) == (1, "fail")


def test_while_the_agent_runs_nothing_is_sent(table):
    agent = table.start("hesper-gateway", "run", "-c", table.folder / "gateway.toml")
    database = table.folder / "state" / "gateway.db.lock"
    while not database.exists():
        assert agent.poll() is None
    code, steps = table.commission("tcp")
    assert code == 1
    assert "the agent runs" in steps["line"]["found"]
    assert "systemctl stop" in steps["line"]["advice"]
    assert outcomes(steps)["link"] == "not checked"


def test_another_meter_at_the_address_fails_at_its_name(table):
    meter = table.meters["tcp"]
    answers, meter["logical_device_name"] = meter["logical_device_name"], "XXX0000000000000"
    table.write()
    code, steps = table.commission("tcp")
    assert (code, steps["logical device name"]["outcome"]) == (1, "fail")
    assert answers in steps["logical device name"]["found"]
    assert outcomes(steps)["relay state"] == "not checked"


def test_a_name_not_configured_is_shown_to_be_copied(table):
    table.write(without="logical_device_name")
    code, steps = table.commission("tcp")
    assert (code, steps["logical device name"]["outcome"]) == (1, "fail")
    name = table.meters["tcp"]["logical_device_name"]
    assert f'logical_device_name = "{name}"' in steps["logical device name"]["advice"]
    assert outcomes(steps)["relay state"] == "pass"


def test_a_wrong_key_fails_at_the_association_and_the_key_is_not_shown(table):
    meter = table.meters["tcp"]
    meter["encryption_key"] = "5a" * 16
    table.write()
    code, steps = table.commission("tcp")
    assert (code, steps["reading association"]["outcome"]) == (1, "fail")
    assert outcomes(steps)["public association"] == "pass"
    assert "5a5a" not in json.dumps(steps)


def test_a_clock_without_a_time_is_told_as_that_and_not_by_a_difference(table):
    serial = table.meters["tcp"]["serial"]
    table.ended(
        "hesper-sim", "fault", serial, "clock_drift", "--value", 2.3e11,
        "--state", table.folder / "meters",
    )  # fmt: skip
    code, steps = table.commission("tcp")
    assert (code, steps["clock"]["outcome"]) == (1, "fail")
    assert "names no time" in steps["clock"]["found"]
    assert " s against" not in steps["clock"]["found"]


def test_nobody_at_the_address_fails_at_the_line(table):
    table.running[0].kill()
    table.running[0].wait()
    code, steps = table.commission("tcp")
    assert (code, steps["line"]["outcome"]) == (1, "fail")
    assert outcomes(steps)["configuration"] == "pass"


def test_a_meter_that_does_not_call_fails_at_the_line(table):
    table.running[0].kill()
    table.running[0].wait()
    code, steps = table.commission("dial-in", "--wait", 1)
    assert (code, steps["line"]["outcome"]) == (1, "fail")
    assert "does not call" in steps["line"]["found"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "ask both at"),
        ({"physical_address": 99, "keys_file": "absent.json"}, "absent.json"),
        ({"physical_address": 99, "template": "hesper-sim"}, "is for TCP"),
    ],
)
def test_what_the_agent_would_not_start_with_fails_at_the_configuration(table, said, why):
    """Of another meter, too: the walk would pass, and then nobody would be read."""
    twin = table.meter_table(table.meters["rs485"]) | {"id": "TWIN"} | said
    del twin["logical_device_name"]
    path = table.folder / "gateway.toml"
    path.write_text(path.read_text() + meter_text(twin))
    for access in ("rs485", "tcp"):
        code, steps = table.commission(access)
        assert (code, steps["configuration"]["outcome"]) == (1, "fail")
        assert why in steps["configuration"]["found"]
        assert outcomes(steps)["line"] == "not checked"
    agent = table.ended("hesper-gateway", "run", "-c", path)
    assert (agent.returncode, why in agent.stderr) == (2, True)


def test_a_meter_that_is_not_in_the_file_fails_at_the_configuration(table):
    ended = table.ended(
        "hesper-gateway", "commission", "nobody", "-c", table.folder / "gateway.toml"
    )
    assert ended.returncode == 1
    assert "nobody" in ended.stdout
    assert "configuration" in ended.stdout
    assert ended.stdout.endswith("\n")


def test_no_path_and_no_command_is_cut_at_80_columns():
    told = "/srv/a-folder/of/this/gateway/keys/HES11000003.json: others may read it; run: chmod 600"
    step = Step("configuration", Outcome.FAILED, told.replace(" ", "_"), "→")
    out = io.StringIO()
    Console(file=out, width=80).print(site_commands._table("HES11000003", [step]))
    cells = [line.split("│")[3].strip() for line in out.getvalue().splitlines() if "│" in line]
    assert "".join(cells).startswith(told.replace(" ", "_"))


def test_a_gateway_that_replaces_a_dead_one_goes_on_above_the_meters_own_counter(table):
    """Same name, new key, empty state: the meter would refuse a counter that it has seen."""
    assert table.commission("tcp")[0] == 0
    shutil.rmtree(table.folder / "state")
    (table.folder / "gateway.key").unlink()
    Signer.generate().save(table.folder / "gateway.key")
    code, steps = table.commission("tcp")
    assert (code, steps["management association"]["outcome"]) == (0, "pass")
