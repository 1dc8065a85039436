"""The acceptance run: a whole system for about a minute, then every value accounted for.

Meters latch every five seconds, a supply is cut and restored by two people, then latching stops
and the system has a minute to drain. What the simulator journalled is then held against what
REST exports. Latency is reported; it does not decide.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hesper_sim import ledger

from hesper_lab.launched import typed_at
from hesper_lab.processes import Died
from hesper_lab.reconcile import Account, RelayAccount, reconcile, reconcile_relays
from hesper_lab.rest import Rest, StoredRow
from hesper_lab.running import Running, running
from hesper_lab.site import Site, StoreKind, Wishes

Say = Callable[[str], None]
CAPTURE_PERIOD_S = 5
LATCHING_S = 35.0
DRAIN_S = 60.0
COMMAND_S = 60.0
_OPEN_STATES = {"draft", "awaiting_approval", "queued", "sent", "acknowledged", "executing"}


@dataclass(frozen=True, slots=True)
class Report:
    """What the run found; ``reasons`` is empty when every promise held."""

    setup_s: float
    account: Account
    latch_to_store_p99_ms: float
    relay_confirmed_ms: float | None
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that machines read."""
        account = self.account
        return {
            "setup_s": round(self.setup_s, 1),
            **account.counts(),
            "latch_to_store_p99_ms": self.latch_to_store_p99_ms,
            "relay_confirmed_ms": self.relay_confirmed_ms,
            "captured_values_expected": account.captured_values_expected,
            "captured_values_matched": account.captured_values_matched,
            "ok": not self.reasons,
        }


def run(folder: Path, store: StoreKind, say: Say, *, install: bool = True) -> Report:
    """Run the acceptance test in a folder of its own, which must be empty or absent."""
    began = typed_at()
    wishes = Wishes(store=store, capture_period_s=CAPTURE_PERIOD_S, history_days=0, snapshot_s=5)
    site = Site.open(folder, wishes)
    with running(site, say, install=install) as system:
        setup_s = time.time() - began
        return observe(system, say, setup_s)


def observe(system: Running, say: Say, setup_s: float) -> Report:
    """Let a running system work, then account for every value."""
    operator = Rest(system.site.url, system.site.account("operator"))
    approver = Rest(system.site.url, system.site.account("approver"))
    try:
        live_at, ends_at = time.time(), time.monotonic() + LATCHING_S
        say(f"meters latch every {CAPTURE_PERIOD_S} s for {LATCHING_S:.0f} s")
        relay = _cut_and_restore(system, operator, approver, say)
        time.sleep(max(0.0, ends_at - time.monotonic()))
        system.check()
        account = _drain(system, operator, say)
        rows = operator.export()
        delays = _delays_ms(system, live_at, rows)
    finally:
        operator.close()
        approver.close()
    p99 = delays[min(len(delays) - 1, len(delays) * 99 // 100)] if delays else 0.0
    reasons = (*broken_promises(account), *relay.reasons)
    return Report(setup_s, account, p99, relay.confirmed_ms, reasons)


@dataclass(frozen=True, slots=True)
class _Relay:
    confirmed_ms: float | None
    reasons: tuple[str, ...]


def _cut_and_restore(system: Running, operator: Rest, approver: Rest, say: Say) -> _Relay:
    meter = system.fleet.meters[0].serial
    _await(
        lambda: operator.get(f"/meters/{meter}")["disconnect_blocked"] is None,
        COMMAND_S,
        f"a first reading of the relay of {meter}",
    )
    confirmed: list[tuple[str, str]] = []
    reasons: list[str] = []
    confirmed_ms: float | None = None
    for action in ("disconnect", "reconnect"):
        say(f"{action} {meter}: asked by one person, approved by another")
        command = operator.request_relay(meter, action, "acceptance run")
        began = time.monotonic()
        if operator.command_state(command) == "awaiting_approval":
            approver.approve(command)
        state = _outcome(operator, command)
        if state == "confirmed":
            confirmed.append((meter, action))
            confirmed_ms = confirmed_ms or round((time.monotonic() - began) * 1000, 1)
        else:
            reasons.append(f"{action} of {meter} ended as {state}")
    movements = ledger.records(system.site.sim, "relay")
    accounted: RelayAccount = reconcile_relays(confirmed, movements)
    return _Relay(confirmed_ms, (*reasons, *accounted.wrong))


def _outcome(rest: Rest, command: str) -> str:
    _await(
        lambda: rest.command_state(command) not in _OPEN_STATES,
        COMMAND_S,
        f"the outcome of command {command}",
    )
    return rest.command_state(command)


def _drain(system: Running, rest: Rest, say: Say) -> Account:
    system.ask_sim({"op": "stop_latching"})
    say("latching stopped; draining")
    deadline = time.monotonic() + DRAIN_S
    while True:
        account = account_of(system, rest)
        if account.is_clean or time.monotonic() > deadline:
            return account
        time.sleep(0.5)


def account_of(system: Running, rest: Rest) -> Account:
    """Hold the journal of a running system against its export."""
    state = system.site.sim
    latched = list(ledger.records(state, "latch"))
    if system.site.wishes.history_days:
        latched += ledger.history(system.fleet, state)
    return reconcile(latched, ledger.records(state, "push"), rest.export())


def _delays_ms(system: Running, live_at: float, rows: Iterable[StoredRow]) -> list[float]:
    """Return, ascending, how long each value took to be stored that was latched since ``live_at``.

    What was latched before, while the system came up, had to wait for that.
    """
    latched = {
        (record["meter"], record["profile"], record["captured_at"])
        for record in ledger.records(system.site.sim, "latch")
        if record["captured_at"] >= live_at
    }
    return sorted(
        float(row.stored_at_ms - row.captured_at * 1000)
        for row in rows
        if (row.meter, row.profile, row.captured_at) in latched
    )


def _await(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Died(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.02)


def broken_promises(account: Account) -> list[str]:
    """Return in words what is wrong with an account; nothing when every promise held."""
    reasons = [
        f"{what}: {getattr(account, what)}, such as {examples[0]}"
        for what, examples in account.examples.items()
    ]
    if account.latched == 0:
        reasons.append("no meter latched anything")
    if account.captured_values_matched != account.captured_values_expected:
        reasons.append(
            f"{account.captured_values_matched} of {account.captured_values_expected} "
            "captured values matched"
        )
    return reasons


def print_json(report: Report) -> None:
    """Print the report for machines."""
    print(json.dumps(report.to_json(), indent=1))  # noqa: T201 - stdout is the interface here
