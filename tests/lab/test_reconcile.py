"""The account itself: whatever can go wrong between a journal and an export is noticed."""

from dataclasses import replace
from typing import Any

import pytest
from hesper_lab.reconcile import Account, reconcile, reconcile_relays
from hesper_lab.rest import StoredRow

PROFILE, SNAPSHOT, PUSH = "1.0.99.1.0.255", "0.0.21.0.1.255", "0.7.25.9.0.255"
ENERGY, VOLTAGE = "1.0.1.8.0.255", "1.0.32.7.0.255"
NOON = 1_700_000_000


def latch(meter: str = "M1", at: int = NOON, energy: int = 5) -> dict[str, Any]:
    return {
        "meter": meter,
        "profile": PROFILE,
        "captured_at": at,
        "status": 0,
        "values": {ENERGY: energy, VOLTAGE: 2301},
    }


def push(at: int | None, sent_at: int = NOON, energy: int = 9) -> dict[str, Any]:
    return latch("P1", energy=energy) | {"profile": PUSH, "captured_at": at, "sent_at": sent_at}


def row(record: dict[str, Any], **changes: Any) -> StoredRow:
    stored = StoredRow(
        meter=record["meter"],
        profile=record["profile"],
        captured_at=record["captured_at"] or record["sent_at"],
        stored_at_ms=NOON * 1000 + 400,
        clock_status=record["status"],
        revision=0,
        values=dict(record["values"]),
    )
    return replace(stored, **changes)


LATCHED = [latch("M1"), latch("M2"), latch("M1", NOON + 5, 6)]
STORED = [row(record) for record in LATCHED]


def wrong(account: Account) -> dict[str, int]:
    counts = {name: getattr(account, name) for name in ("lost", "duplicated", "altered", "phantom")}
    assert bool(any(counts.values())) == bool(account.examples)
    return {name: count for name, count in counts.items() if count}


def test_all_as_it_should_be() -> None:
    account = reconcile(LATCHED, [], STORED)
    assert account.is_clean
    assert (account.latched, account.stored, wrong(account)) == (3, 3, {})


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (STORED[1:], {"lost": 1}),
        ([*STORED, STORED[0]], {"duplicated": 1}),
        ([*STORED, row(latch("M1", energy=7), revision=1)], {"altered": 1}),
        ([row(latch("M1", energy=4)), *STORED[1:]], {"altered": 1}),
        ([row(LATCHED[0], values={ENERGY: 5}), *STORED[1:]], {"altered": 1}),
        ([*STORED, row(latch("M3"))], {"phantom": 1}),
        ([row(LATCHED[0], clock_status=0x80), *STORED[1:]], {"lost": 1, "phantom": 1}),
        ([row(LATCHED[0], captured_at=NOON + 1), *STORED[1:]], {"lost": 1, "phantom": 1}),
        ([row(LATCHED[0], meter="M9"), *STORED[1:]], {"lost": 1, "phantom": 1}),
        ([], {"lost": 3}),
    ],
)
def test_what_is_wrong_is_counted_by_its_name(
    stored: list[StoredRow], expected: dict[str, int]
) -> None:
    account = reconcile(LATCHED, [], stored)
    assert wrong(account) == expected
    assert not account.is_clean


def test_snapshots_are_nobodys_loss() -> None:
    assert reconcile(LATCHED, [], [*STORED, row(latch() | {"profile": SNAPSHOT})]).is_clean


def test_a_dated_push_is_one_reading() -> None:
    sent = push(NOON - 86_400)
    account = reconcile(LATCHED, [sent], [*STORED, row(sent)])
    assert account.is_clean
    assert (account.captured_values_expected, account.captured_values_matched) == (2, 2)
    assert wrong(reconcile(LATCHED, [sent], STORED)) == {"lost": 1}
    halved = reconcile(LATCHED, [sent], [*STORED, row(sent, values={ENERGY: 9})])
    assert (halved.captured_values_matched, wrong(halved)) == (1, {"altered": 1})


def test_an_undated_push_explains_one_row_about_its_time() -> None:
    sent = [push(None, NOON), push(None, NOON + 60)]
    arrived = [row(sent[0], captured_at=NOON + 1), row(sent[1], captured_at=NOON + 62)]
    known = [push(NOON - 9)]
    stored = [row(known[0]), *arrived]
    assert wrong(reconcile([], known + sent, stored)) == {}
    assert wrong(reconcile([], known + sent, stored[:2])) == {"lost": 1}
    twice = [*stored, row(sent[0], captured_at=NOON + 2)]
    assert wrong(reconcile([], known + sent, twice)) == {"phantom": 1}
    late = [*stored[:2], row(sent[1], captured_at=NOON + 90)]
    assert wrong(reconcile([], known + sent, late)) == {"lost": 1, "phantom": 1}
    other = [*stored[:2], row(sent[1], captured_at=NOON + 62, values={ENERGY: 1})]
    assert wrong(reconcile([], known + sent, other)) == {"lost": 1, "phantom": 1}


def test_undated_pushes_explain_their_rows_in_whatever_order_an_export_is() -> None:
    sent = [push(None, sent_at=NOON + 10 * n) for n in range(4)]
    rows = [row(each, captured_at=each["sent_at"]) for each in sent]
    assert wrong(reconcile(LATCHED, sent, [*STORED, *rows[::-1]])) == {}


def test_an_undated_push_that_came_twice_at_one_time_is_a_duplicate() -> None:
    sent = push(None)
    assert wrong(reconcile([], [sent], [row(sent), row(sent)])) == {"duplicated": 1}


def test_an_undated_push_alone_is_looked_for() -> None:
    sent = push(None)
    assert reconcile([], [sent], [row(sent)]).is_clean
    assert wrong(reconcile([], [sent], [])) == {"lost": 1}


def move(meter: str, output: bool, result: str = "moved") -> dict[str, Any]:
    return {"meter": meter, "output": output, "result": result}


def test_relays_move_once_for_each_confirmed_command_and_for_nothing_else() -> None:
    confirmed = [("M1", "disconnect"), ("M1", "reconnect")]
    moves = [move("M1", False), move("M1", True)]
    assert reconcile_relays(confirmed, moves).wrong == ()
    assert reconcile_relays(confirmed, [*moves, move("M2", True, "rejected")]).wrong == ()
    unasked = reconcile_relays(confirmed, [*moves, move("M2", False)])
    assert unasked.wrong == ("M2: 0 commands to disconnect, 1 movements",)
    twice = reconcile_relays(confirmed, [*moves, move("M1", False)])
    assert twice.wrong == ("M1: 1 commands to disconnect, 2 movements",)
    assert reconcile_relays(confirmed, moves[:1]).wrong == (
        "M1: 1 commands to reconnect, 0 movements",
    )
