"""Everything that can be killed is killed in the middle of the run; then every value is counted.

SIGKILL, one after another: broker, head end, authority, two gateways with commands in flight, the
simulator, and once more the broker, whose stored state is wiped. The push gateway is left alone: a
push that nobody listens to is not repeated, so it could not be expected in the store.
"""

import shutil
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
LAN, RS485 = "gw-lan", "gw-rs485"
SLOW_PATIENCE_S = 100.0
UNDATED_QUIET_S = (1.0, 5.0)
ACTIVE_ENERGY = "1.0.1.8.0.255"
CLOCK_RIGHT_MS = 2_000


def test_killed_broker(hesper: Any) -> None:
    hesper.processes.children["broker"].kill()
    hesper.wait_for_latches()
    hesper.processes.restart("broker")
    hesper.wait_until_flowing()


def test_killed_head_end(hesper: Any) -> None:
    hesper.processes.children["cloud"].kill()
    hesper.wait_for_latches()
    hesper.processes.restart("cloud")
    hesper.wait_until_well()
    hesper.wait_until_flowing()


def test_killed_authority_commands_again(hesper: Any) -> None:
    meter = hesper.meters_of(LAN)[0]
    hesper.processes.children["authority"].kill()
    hesper.processes.restart("authority")
    for action in ("disconnect", "reconnect"):
        assert hesper.outcome(hesper.ask(meter, action)) == "confirmed"
    assert hesper.movements(meter)[-2:] == [False, True]


def test_registers_are_read_and_a_clock_is_set_on_request(hesper: Any) -> None:
    meter = hesper.meters_of(LAN)[2]
    names = [ACTIVE_ENERGY, "1.0.200.8.0.255"]
    for kind, parameters in (
        ("read.registers", {"logical_names": names}),
        ("clock.sync", {"max_step_s": 30}),
    ):
        command = hesper.operator.request(kind, meter, parameters, "a complaint")
        assert hesper.outcome(command) == "confirmed"
        row = hesper.operator.get(f"/commands/{command}")
        assert (row["kind"], row["parameters"], row["approver"]) == (kind, parameters, None)
        if kind == "read.registers":
            assert row["findings"]["registers"][ACTIVE_ENERGY]["value"] > 0
            assert row["findings"]["missing"] == names[1:]
        else:
            assert abs(row["findings"]["clock_after"]["drift_ms"]) <= CLOCK_RIGHT_MS


def test_command_in_flight_before_the_write_never_acts(hesper: Any) -> None:
    """The gateway is killed while it waits for a meter that has not been told anything."""
    meter = hesper.meters_of(LAN)[1]
    command = hesper.ask(meter, "disconnect", but_first="silent")
    hesper.eventually(
        lambda: hesper.operator.command_state(command) == "executing", "the command is under way"
    )
    hesper.processes.children[LAN].kill()
    hesper.mend(meter, "silent")
    hesper.processes.restart(LAN)
    assert hesper.outcome(command) == "failed"
    assert hesper.movements(meter) == []
    assert hesper.relay_output(meter)


def test_command_in_flight_after_the_write_never_acts_twice(hesper: Any) -> None:
    """Two gateways are killed after the relay moved and before the slow meter said so."""
    waiting = {hesper.meters_of(LAN)[2]: LAN, hesper.meters_of(RS485)[0]: RS485}
    commands = {meter: hesper.ask(meter, "disconnect", but_first="slow") for meter in waiting}
    while waiting:
        meter = hesper.eventually(
            lambda: next((each for each in waiting if hesper.movements(each)), None),
            "a slow meter moves its relay",
            SLOW_PATIENCE_S,
        )
        hesper.processes.children[waiting.pop(meter)].kill()
    for meter in commands:
        hesper.mend(meter, "slow")
    for gateway in (LAN, RS485):
        hesper.processes.restart(gateway)
    for meter, command in commands.items():
        assert hesper.outcome(command) == "confirmed"
        assert hesper.movements(meter) == [False]
        assert not hesper.relay_output(meter)
    hesper.wait_until_flowing()


def test_killed_simulator(hesper: Any) -> None:
    """What meters did not latch while they were without power is not expected of anyone."""

    def undated_push_is_settled() -> bool:
        ages = [
            time.time() - each["sent_at"]
            for each in hesper.records("push")
            if each["captured_at"] is None
        ]
        return UNDATED_QUIET_S[0] < min(ages, default=0) < UNDATED_QUIET_S[1]

    hesper.eventually(undated_push_is_settled, "no undated push is on its way")
    hesper.processes.children["sim"].kill()
    hesper.processes.restart("sim")
    hesper.wait_until_flowing()


def test_killed_broker_that_forgot_everything(hesper: Any) -> None:
    hesper.processes.children["broker"].kill()
    shutil.rmtree(hesper.site.broker / "data")
    (hesper.site.broker / "data").mkdir()
    hesper.wait_for_latches()
    hesper.processes.restart("broker")
    hesper.wait_until_flowing()
    meter = hesper.meters_of(RS485)[1]
    assert hesper.outcome(hesper.ask(meter, "disconnect")) == "confirmed"


def test_then_nothing_is_lost_doubled_altered_or_invented(hesper: Any) -> None:
    hesper.wait_until_well()
    hesper.reconcile()
