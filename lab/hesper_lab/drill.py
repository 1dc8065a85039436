"""The drill: an insider with two people's passwords tries to cut every supply of a running site.

One account asks for every meter, the other approves what it can; then both do so with a batch.
What the relays of the simulated meters did is the simulator's own journal. Held against it are the
budget of the policy and the time until a critical alert names the account.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from hesper_cloud import provision
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import DisconnectBudget, Policy
from hesper_cloud.db.engines import open_engine
from hesper_cloud.settings import Settings
from hesper_sim import ledger
from rich.console import Console
from rich.table import Table

from hesper_lab.rest import Rest
from hesper_lab.running import Running, running
from hesper_lab.site import Site, Wishes

Say = Callable[[str], None]
ALARM_WITHIN_S = 60.0
BUDGET = DisconnectBudget(per_hour=6, per_day=6, gateway_per_hour=6, seconds_between=0.5)
WISHES = Wishes(
    capture_period_s=60,
    history_days=0,
    snapshot_s=5,
    pushes=False,
    dial_in_meters=0,
    rs485_meters=0,
)
_READY_S = 90.0
_SETTLED_S = 120.0
_QUIET_S = 5.0
_POLL_S = 0.2
_ENDED = {"confirmed", "failed", "rejected", "expired", "cancelled", "unknown"}
_TERMS = {"canary": 1, "wave_size": 50, "per_hour": 36_000, "stop_percent": 100}


@dataclass(frozen=True, slots=True)
class Record:
    """What came of the drill; ``reasons`` is empty when both promises held."""

    meters: int
    asked_for: int
    asked_in_batches: int
    accepted: int
    refused: int
    budget: int
    cut: int
    alarm_s: float | None
    commands: dict[str, int]
    batch: str
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as machines read it."""
        return asdict(self)


def run(folder: Path, say: Say, wishes: Wishes = WISHES, *, install: bool = True) -> Record:
    """Run the drill on a site of its own, in a folder that is empty or absent."""
    site = Site.open(folder, wishes)
    with running(site, say, install=install) as system:
        _set_policy(site)
        operator = Rest(site.url, site.account("operator"))
        approver = Rest(site.url, site.account("approver"))
        try:
            return _Drill(system, operator, approver, say).run()
        finally:
            operator.close()
            approver.close()


def _set_policy(site: Site) -> None:
    settings = Settings.load(site.cloud / "cloud.toml")
    engine = open_engine(settings.database.authority_url)
    document = Policy(hours=EVER, disconnects=BUDGET).model_dump(mode="json")
    provision.activate_policy(engine, "drill", document)
    engine.dispose()


@dataclass(slots=True)
class _Drill:
    system: Running
    operator: Rest
    approver: Rest
    say: Say

    def run(self) -> Record:
        meters = [meter.serial for meter in self.system.fleet.meters]
        self.say(f"waiting until the relays of {len(meters)} meters were read")
        _await(lambda: all(map(self._can_be_cut, meters)), _READY_S, "a reading of every relay")
        began = time.monotonic()
        self.say("the insider asks for every supply, one by one")
        asked = [self._ask(meter) for meter in meters]
        accepted = [command for command in asked if command]
        for command in accepted:
            self._approve(command)
        self.say("and once more for all of them, as a batch")
        batch = self._batch(meters)
        alarm_s = self._alarm(began)
        _await(self._is_settled, _SETTLED_S, "an end of every command")
        cut = self._cut()
        time.sleep(_QUIET_S)
        if self._cut() != cut:
            cut = self._cut()
        return self._record(meters, accepted, len(cut), alarm_s, batch)

    def _can_be_cut(self, meter: str) -> bool:
        return self.operator.get(f"/meters/{meter}")["row"]["relay_confirmed_at"] is not None

    def _ask(self, meter: str) -> str | None:
        try:
            return self.operator.request_relay(meter, "disconnect", "drill: cut everything")
        except httpx.HTTPStatusError:
            return None

    def _approve(self, command: str) -> None:
        try:
            self.approver.approve(command)
        except httpx.HTTPStatusError as refused:
            self.say(f"refused: {refused.response.json()['detail']}")

    def _batch(self, meters: list[str]) -> str:
        try:
            batch = self.operator.propose_batch("relay.disconnect", meters, "drill", _TERMS)
            self.approver.approve_batch(batch["id"], batch["digest"])
        except httpx.HTTPStatusError as refused:
            return f"refused: {refused.response.json()['detail']}"
        return str(batch["id"])

    def _alarm(self, began: float) -> float | None:
        name = self.system.site.account("operator").username

        def told() -> bool:
            alerts = self.operator.get("/alerts", state="open", severity="critical")
            return any(each["rule"] == f"disconnect-rate/{name}" for each in alerts)

        try:
            _await(told, ALARM_WITHIN_S, "an alarm")
        except TimeoutError:
            return None
        return round(time.monotonic() - began, 1)

    def _is_settled(self) -> bool:
        """Say whether no command is open and the budget, which the batch waits for, is used up."""
        self.system.check()
        commands = self._commands()
        sent = [each for each in commands if each["sent_at"] is not None]
        ended = all(each["state"] in _ENDED for each in commands)
        return ended and len(sent) >= min(BUDGET.per_hour, len(self.system.fleet.meters))

    def _commands(self) -> list[dict[str, Any]]:
        found = self.operator.get("/commands", limit="1000")
        return [each for each in found if each["kind"] == "relay.disconnect"]

    def _cut(self) -> set[str]:
        """Return the meters whose relay was opened from afar, by the simulator's journal."""
        moved = ledger.records(self.system.site.sim, "relay")
        return {each["meter"] for each in moved if each["cause"] == "remote" and not each["output"]}

    def _record(
        self, meters: list[str], accepted: list[str], cut: int, alarm_s: float | None, batch: str
    ) -> Record:
        reasons = []
        if cut > BUDGET.per_hour:
            reasons.append(f"{cut} supplies were cut, the budget is {BUDGET.per_hour}")
        if alarm_s is None or alarm_s > ALARM_WITHIN_S:
            reasons.append(f"no alarm within {ALARM_WITHIN_S:.0f} s")
        if batch and not batch.startswith("refused"):
            batch = str(self.operator.get(f"/batches/{batch}")["state"])
        return Record(
            meters=len(meters),
            asked_for=len(meters),
            asked_in_batches=len(meters),
            accepted=len(accepted),
            refused=len(meters) - len(accepted),
            budget=BUDGET.per_hour,
            cut=cut,
            alarm_s=alarm_s,
            commands=dict(Counter(each["state"] for each in self._commands())),
            batch=batch,
            reasons=tuple(reasons),
        )


def show(record: Record, screen: Console) -> None:
    """Print the record as a table."""
    table = Table(show_header=False, box=None)
    for name, value in record.to_json().items():
        table.add_row(name.replace("_", " "), f"[bold]{value}[/]")
    screen.print(table)


def print_json(record: Record) -> str:
    """Return the record as JSON text."""
    return json.dumps(record.to_json(), indent=1)


def _await(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_S)
