"""A meter that refuses its credentials is not shown them until it locks itself."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hesper_gateway.database import Database
from hesper_gateway.lockout import MOST_REFUSED, WITHIN_S, CredentialsHeld, Lockout
from hesper_gateway.meter_keys import MeterKeys

WRONG, RIGHT = MeterKeys(password=b"wrong"), MeterKeys(password=b"right")
HOUR = 3600.0
CLIENT = 2


@dataclass
class Hands:
    """A clock that anyone may set, and one that nobody does."""

    wall_s: float = 1_790_000_000.0
    steady_s: float = 100.0
    held: list[str] = field(default_factory=list)

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds

    def lockout(self, database: Database) -> Lockout:
        return Lockout(
            database,
            lambda meter, _: self.held.append(meter),
            lambda: self.wall_s,
            lambda: self.steady_s,
        )


async def refuse(lockout: Lockout, count: int) -> None:
    for _ in range(count):
        lockout.check("M1", WRONG, CLIENT)
        await lockout.refused("M1", WRONG, CLIENT)


async def test_after_three_refusals_credentials_are_held_for_a_day(database: Database) -> None:
    hands = Hands()
    lockout = hands.lockout(database)
    await refuse(lockout, MOST_REFUSED)
    assert hands.held == ["M1"]
    hands.go(WITHIN_S - 1)
    with pytest.raises(CredentialsHeld, match=r"held back for 0\.0 h"):
        lockout.check("M1", WRONG, CLIENT)
    lockout.check("M2", WRONG, CLIENT)
    hands.go(2)
    await refuse(lockout, MOST_REFUSED)


async def test_other_credentials_are_tried_at_once(database: Database) -> None:
    lockout = Hands().lockout(database)
    await refuse(lockout, MOST_REFUSED)
    lockout.check("M1", RIGHT, CLIENT)


async def test_success_forgets(database: Database) -> None:
    hands = Hands()
    lockout = hands.lockout(database)
    await refuse(lockout, MOST_REFUSED - 1)
    await lockout.accepted("M1", WRONG, CLIENT)
    await refuse(hands.lockout(database), MOST_REFUSED)


async def test_success_of_the_reading_client_says_nothing_of_the_management_client(
    database: Database,
) -> None:
    hands, management = Hands(), 12
    lockout = hands.lockout(database)
    for _ in range(MOST_REFUSED):
        lockout.check("M1", WRONG, management)
        await lockout.refused("M1", WRONG, management)
        await lockout.refused("M1", WRONG, CLIENT)
        await lockout.accepted("M1", WRONG, CLIENT)
    for each in (lockout, hands.lockout(database)):
        each.check("M1", WRONG, CLIENT)
        with pytest.raises(CredentialsHeld):
            each.check("M1", WRONG, management)


async def test_restarts_do_not_begin_a_new_count(database: Database) -> None:
    hands = Hands()
    for _ in range(MOST_REFUSED):
        await refuse(hands.lockout(database), 1)
        hands.steady_s = 5.0  # another boot
        hands.wall_s += HOUR
    with pytest.raises(CredentialsHeld):
        hands.lockout(database).check("M1", WRONG, CLIENT)


@pytest.mark.parametrize("jump_s", [-50 * 365 * 24 * HOUR, -HOUR, HOUR, 10 * 365 * 24 * HOUR])
async def test_a_clock_that_jumps_while_running_changes_nothing(
    database: Database, jump_s: float
) -> None:
    hands = Hands()
    lockout = hands.lockout(database)
    await refuse(lockout, MOST_REFUSED)
    hands.wall_s += jump_s
    with pytest.raises(CredentialsHeld):
        lockout.check("M1", WRONG, CLIENT)
    hands.go(WITHIN_S + 1)
    lockout.check("M1", WRONG, CLIENT)


async def test_a_start_in_the_past_holds_for_a_day_and_no_longer(database: Database) -> None:
    hands = Hands()
    await refuse(hands.lockout(database), MOST_REFUSED)
    hands.wall_s, hands.steady_s = 0.0, 5.0
    lockout = hands.lockout(database)
    with pytest.raises(CredentialsHeld):
        lockout.check("M1", WRONG, CLIENT)
    hands.go(WITHIN_S + 1)
    lockout.check("M1", WRONG, CLIENT)


def test_nothing_of_the_credentials_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    database = Database(path, ballast_octets=0)
    lockout = Hands().lockout(database)
    keys = MeterKeys(bytes(range(16)), b"K" * 16, b"secret-word")
    asyncio.run(lockout.refused("M1", keys, CLIENT))
    database.close()
    kept = path.read_bytes()
    assert b"M1" in kept
    assert not any(secret in kept for secret in (bytes(range(16)), b"K" * 16, b"secret-word"))
