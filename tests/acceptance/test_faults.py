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
UNDATED_QUIET_S = (1.0, 5.0)


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


def test_command_in_flight_when_its_gateway_is_killed_acts_at_most_once(hesper: Any) -> None:
    """One command is killed between the meter's movement and its answer, one before the write."""
    moved, before_write = hesper.meters_of(LAN)[1:3]
    bus = hesper.meters_of(RS485)[0]
    flights = {}
    for meter in (moved, bus, before_write):
        hesper.wait_until_commandable(meter)
        hesper.fault(meter, "slow")
        flights[meter] = hesper.ask(meter, "disconnect")
        hesper.eventually(
            lambda command=flights[meter]: hesper.operator.command_state(command) == "executing",
            f"the command for {meter} is being executed",
        )
    waiting = {moved: LAN, bus: RS485}
    while waiting:
        meter = hesper.eventually(
            lambda: next((each for each in waiting if hesper.movements(each)), None),
            "a slow meter moves its relay",
        )
        hesper.processes.children[waiting.pop(meter)].kill()
    for meter in flights:
        hesper.mend(meter, "slow")
    for gateway in (LAN, RS485):
        hesper.processes.restart(gateway)
    states = {meter: hesper.outcome(command) for meter, command in flights.items()}
    assert states[moved] == states[bus] == "confirmed"
    for meter, state in states.items():
        assert state in {"confirmed", "failed"}
        assert hesper.movements(meter) == ([False] if state == "confirmed" else [])
        assert hesper.relay_output(meter) == (state != "confirmed")
    hesper.wait_until_flowing()


def test_killed_simulator(hesper: Any) -> None:
    """What meters did not latch while they were without power is not expected of anyone."""

    def undated_push_is_settled() -> bool:
        ages = [
            time.time() - each["sent_at"]
            for each in hesper.records("push")
            if each["captured_at"] is None
        ]
        return UNDATED_QUIET_S[0] < min(ages) < UNDATED_QUIET_S[1]

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
