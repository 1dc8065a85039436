"""A head end with twelve meters more, and what one does with batches on it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hesper_cloud import provision
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import AuditRow, Batch, BatchRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, Request
from sqlalchemy import select, update

GATEWAY = "gw-1"
METERS = [f"HES2000{number:04}" for number in range(12)]
PASSWORDS = {
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}


class Town:
    """One head end, driven turn by turn with a clock that is told."""

    def __init__(self, head_end: Any) -> None:
        self.head_end = head_end
        self.clock = head_end.clock
        self.meters = METERS
        self._answered: set[str] = set()
        papers = [
            MeterPaper(id=name, gateway=GATEWAY, logical_device_name=f"HSP{name[3:]}000000")
            for name in METERS
        ]
        commission(head_end.databases, papers)
        fresh = {"relay_output": True, "relay_confirmed_at": self.clock.now}
        with writing(head_end.databases.registry) as session:
            session.execute(update(Meter).values(**fresh))
        self.policy()

    def policy(self, **changes: Any) -> None:
        """Puts a policy in force that allows disconnects at any hour, changed as told."""
        document = Policy(**{"hours": EVER, **changes}).model_dump(mode="json")
        provision.activate_policy(self.head_end.databases.authority, "of the test", document)

    def ask(self, who: str = "ann", **changes: Any) -> Request:
        terms = {"canary": 2, "wave_size": 100, "per_hour": 3_600_000, "stop_percent": 20}
        wish = {"kind": "relay.read", "meters": METERS, "reason": "a look", **terms, **changes}
        key = wish.pop("key", "")
        return self.head_end.ask(who, "batch.propose", key, **wish)

    def propose(self, **changes: Any) -> str:
        row = self.ask(**changes)
        assert row.state == "done", row.outcome
        return str(row.outcome["batch"])

    def decide(
        self, batch: str, verb: str = "approve", who: str = "ben", **changes: Any
    ) -> Request:
        payload = {
            "batch": batch,
            "digest": self.batch(batch).digest,
            "password": PASSWORDS.get(who, ""),
            **changes,
        }
        return self.head_end.ask(who, f"batch.{verb}", **payload)

    def approved(self, **changes: Any) -> str:
        batch = self.propose(**changes)
        decided = self.decide(batch)
        assert decided.state == "done", decided.outcome
        return batch

    def turn(self, seconds: float = 1.0, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(seconds)
            self.head_end.authority.turn()

    def answer_all(self, state: Any = "confirmed", output: bool | None = True) -> list[str]:
        """Answers what was published and not answered yet, as the gateway does."""
        published = {one.id: one for one in self.head_end.published()}
        new = [one for one in published.values() if one.id not in self._answered]
        for envelope in new:
            self._answered.add(envelope.id)
            self.head_end.answer(envelope, state, output=output)
        self.turn()
        return [envelope.meter for envelope in new]

    def batch(self, batch: str) -> Batch:
        with reading(self.head_end.databases.authority) as session:
            return session.get_one(Batch, batch)

    def rows(self, batch: str) -> list[BatchRow]:
        with reading(self.head_end.databases.authority) as session:
            query = select(BatchRow).where(BatchRow.batch == batch).order_by(BatchRow.position)
            return list(session.scalars(query))

    def states(self, batch: str) -> dict[str, int]:
        return dict(Counter(row.state for row in self.rows(batch)))

    def change(self, statement: Any) -> None:
        """Writes past the authority into its database, as nobody may."""
        with writing(self.head_end.databases.authority) as session:
            session.execute(statement)

    def audited(self, action: str) -> list[AuditRow]:
        with reading(self.head_end.databases.authority) as session:
            return list(session.scalars(select(AuditRow).where(AuditRow.action == action)))


@pytest.fixture
def town(head_end: Any) -> Town:
    return Town(head_end)


@pytest.fixture
def refused() -> Callable[[Request], str]:
    """Returns why a request was refused; fails when it was not."""

    def reason(row: Request) -> str:
        assert row.state == "refused", row.outcome
        return str(row.outcome["reason"])

    return reason
