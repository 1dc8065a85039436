"""Holds what the meters latched against what the store gives back, integer by integer.

The truth is the simulator's own journal, which was on its disk before anybody could read the value;
the other side is the REST export. A reading is named by meter, profile, time and clock status.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hesper_lab.rest import StoredRow

Identity = tuple[str, str, int, int]
Record = Mapping[str, Any]
REGISTER_SNAPSHOT = "0.0.21.0.1.255"
UNDATED_TOLERANCE_S = 10
_EXAMPLES = 5


@dataclass(slots=True)
class Account:
    """The result: counts of readings, and a few examples of each thing that is wrong."""

    latched: int = 0
    stored: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0
    phantom: int = 0
    captured_values_expected: int = 0
    captured_values_matched: int = 0
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def counts(self) -> dict[str, int]:
        """Return the counts of readings by name."""
        names = ("latched", "stored", "lost", "duplicated", "altered", "phantom")
        return {name: getattr(self, name) for name in names}

    @property
    def is_clean(self) -> bool:
        """Return whether every promise about readings held."""
        wrong = self.lost + self.duplicated + self.altered + self.phantom
        return wrong == 0 and self.captured_values_matched == self.captured_values_expected

    def note(self, what: str, identity: Identity, more: str = "") -> None:
        """Keep an example of something wrong."""
        if len(self.examples[what]) < _EXAMPLES:
            self.examples[what].append(" ".join(map(str, identity)) + more)


def reconcile(
    latched: Iterable[Record], pushed: Iterable[Record], stored: Iterable[StoredRow]
) -> Account:
    """Compare journal records with the export; snapshots, which no meter latched, are left out."""
    account = Account()
    expected = {_identity(record): record["values"] for record in latched}
    account.latched = len(expected)
    pushes = list(pushed)
    dated = {_identity(each): each["values"] for each in pushes if each["captured_at"] is not None}
    undated = [each for each in pushes if each["captured_at"] is None]
    found: dict[Identity, list[StoredRow]] = defaultdict(list)
    for row in stored:
        if row.profile != REGISTER_SNAPSHOT:
            found[row.meter, row.profile, row.captured_at, row.clock_status].append(row)
    account.stored = sum(1 for identity in found if identity in expected)
    _compare(account, expected | dated, found)
    _settle_undated(account, undated, found, expected | dated)
    _count_captured(account, dated, undated, found)
    return account


def _identity(record: Record) -> Identity:
    return record["meter"], record["profile"], record["captured_at"], record["status"]


def _compare(
    account: Account,
    expected: Mapping[Identity, Mapping[str, int]],
    found: Mapping[Identity, list[StoredRow]],
) -> None:
    for identity, values in expected.items():
        rows = found.get(identity)
        if not rows:
            account.lost += 1
            account.note("lost", identity)
            continue
        _compare_rows(account, identity, values, rows)


def _compare_rows(
    account: Account, identity: Identity, values: Mapping[str, int], rows: list[StoredRow]
) -> None:
    if sum(row.revision == 0 for row in rows) > 1:
        account.duplicated += 1
        account.note("duplicated", identity)
    other = next((row.values for row in rows if row.values != values), None)
    if other is not None:
        account.altered += 1
        account.note("altered", identity, f": {other} instead of {dict(values)}")


def _settle_undated(
    account: Account,
    undated: list[Record],
    found: Mapping[Identity, list[StoredRow]],
    expected: Mapping[Identity, Mapping[str, int]],
) -> None:
    """A push without a time is stored at its arrival; each sending may explain one row.

    Oldest rows and sendings first, in whatever order the export gave them: a row that took the
    sending of the one before it would leave that one without any.
    """
    sendings: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(undated, key=lambda each: each["sent_at"]):
        sendings[record["meter"], record["profile"]].append(record)
    for identity, rows in sorted(found.items(), key=lambda each: each[0][2]):
        if identity in expected:
            continue
        candidates = sendings[identity[0], identity[1]]
        match = next((each for each in candidates if _explains(each, rows[0])), None)
        if match is None:
            account.phantom += 1
            account.note("phantom", identity)
        else:
            candidates.remove(match)
            _compare_rows(account, identity, match["values"], rows)
    for (meter, profile), left in sendings.items():
        account.lost += len(left)
        for each in left:
            account.note("lost", (meter, profile, each["sent_at"], 0))


def _explains(record: Record, row: StoredRow) -> bool:
    delay = row.captured_at - int(record["sent_at"])
    return bool(-1 <= delay <= UNDATED_TOLERANCE_S and row.values == record["values"])


def _count_captured(
    account: Account,
    dated: Mapping[Identity, Mapping[str, int]],
    undated: list[Record],
    found: Mapping[Identity, list[StoredRow]],
) -> None:
    """Count the numbers of the captured frames, each once however often it was replayed."""
    for identity, values in dated.items():
        rows = found.get(identity, [])
        account.captured_values_expected += len(values)
        account.captured_values_matched += _same(values, rows[0].values) if rows else 0
    for (meter, profile), values in {
        (e["meter"], e["profile"]): e["values"] for e in undated
    }.items():
        rows = [row for key, each in found.items() if key[:2] == (meter, profile) for row in each]
        account.captured_values_expected += len(values)
        account.captured_values_matched += max((_same(values, r.values) for r in rows), default=0)


def _same(expected: Mapping[str, int], stored: Mapping[str, int]) -> int:
    return sum(stored.get(name) == value for name, value in expected.items())


@dataclass(frozen=True, slots=True)
class RelayAccount:
    """Relay movements that nobody commanded, and commands that moved nothing or too much."""

    wrong: tuple[str, ...]


def reconcile_relays(
    confirmed: Iterable[tuple[str, str]], movements: Iterable[Record]
) -> RelayAccount:
    """Compare confirmed commands (meter, action) with the journal: each moved its relay once."""
    commanded = Counter((meter, action == "reconnect") for meter, action in confirmed)
    moved = Counter(
        (record["meter"], bool(record["output"]))
        for record in movements
        if record["result"] == "moved"
    )
    keys = sorted(commanded | moved)
    return RelayAccount(
        tuple(
            f"{meter}: {commanded[meter, closed]} commands to "
            f"{'reconnect' if closed else 'disconnect'}, {moved[meter, closed]} movements"
            for meter, closed in keys
            if commanded[meter, closed] != moved[meter, closed]
        )
    )
