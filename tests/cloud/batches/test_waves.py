"""Waves of a batch: each is judged by itself, and the next begins on a word or after a time."""

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.authority.batches.waves import ends
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch
from hesper_cloud.services.batch_records import WaveView
from hesper_cloud.services.batches import Batches
from sqlalchemy import update

WAVES = [10, 25]  # of twelve meters: two, three more, and the other seven


@pytest.fixture
def waving(town):
    """Returns an approved batch in three waves, its first on its way."""

    def begin(**changes):
        batch = town.approved(canary=0, waves=WAVES, **changes)
        town.turn()
        return batch

    return begin


@pytest.mark.parametrize(
    ("shares", "total", "expected"),
    [
        ([1, 10], 500, [5, 55, 500]),
        ([1, 10], 100_000, [1_000, 11_000, 100_000]),
        ([1, 10], 3, [1, 2, 3]),
        ([1, 10], 2, [1, 2]),
        ([1, 10], 1, [1]),
        ([1, 10], 0, [0]),
        ([50, 50], 7, [4, 7]),
        ([100], 7, [7]),
    ],
)
def test_shares_become_rows_and_no_wave_is_empty(shares, total, expected):
    assert ends(shares, total) == expected


def test_each_wave_waits_for_the_one_before_and_its_soak_time(town, waving):
    batch = waving(soak_s=600)
    assert town.batch(batch).waves == [2, 5, 12]
    assert town.states(batch) == {"released": 2, "waiting": 10}
    town.turn(20)
    assert town.states(batch) == {"released": 2, "waiting": 10}, "not while one is under way"
    assert town.answer_all() == town.meters[:2]
    town.turn(590)
    assert (town.batch(batch).state, town.states(batch)["waiting"]) == ("canary", 10)
    assert town.batch(batch).soaks_until is not None
    town.turn(11)
    town.turn()
    assert (town.batch(batch).state, town.batch(batch).wave) == ("running", 1)
    assert town.states(batch) == {"confirmed": 2, "released": 3, "waiting": 7}
    town.answer_all()
    town.turn(601)
    town.turn()
    assert town.states(batch) == {"confirmed": 5, "released": 7}
    town.answer_all()
    assert (town.batch(batch).state, town.states(batch)) == ("done", {"confirmed": 12})
    told = [row.why for row in town.audited("batch.running")]
    assert told == ["wave 1 of 3 is over, the next begins", "wave 2 of 3 is over, the next begins"]


async def test_waves_count_the_rows_that_take_part_wherever_others_stand(town):
    meters = ["HES99999999", *town.meters[:2], "HES88888888", *town.meters[2:]]
    batch = town.approved(canary=0, waves=WAVES, soak_s=0, meters=meters)
    town.turn()
    town.answer_all("failed")
    found = await _shown(town).waves(Actor("vic", Role.VIEWER), batch)
    assert found == (WaveView(2, 2, 0, 2), WaveView(3, 0, 0, 0), WaveView(7, 0, 0, 0))


def _shown(town) -> Batches:
    told = town.head_end.databases
    sources: Any = SimpleNamespace(registry=told.registry, authority=told.authority)
    link: Any = None
    return Batches(sources, link)


def test_without_a_soak_time_a_person_lets_each_wave_begin(town, waving, refused):
    batch = waving()
    for number, before in ((1, 2), (2, 5)):
        town.answer_all()
        town.turn(86_400)
        assert town.batch(batch).state == "paused"
        assert town.batch(batch).detail.startswith(f"wave {number} of 3 is over")
        assert town.states(batch) == {"confirmed": before, "waiting": 12 - before}
        assert "may not approve" in refused(town.decide(batch, "resume", "ann"))
        assert town.decide(batch, "resume").outcome["state"] == "running"
        town.turn()
    assert [row.actor for row in town.audited("batch.running")].count("ben") >= 2
    town.answer_all()
    assert town.batch(batch).state == "done"


def test_a_word_for_one_wave_lets_no_later_one_begin(town, waving, refused):
    """Two approvers look at the same wave; the second one's word comes when the next is over."""
    batch = waving()
    town.answer_all()
    town.turn()
    shown = town.batch(batch).updated_at.isoformat()
    assert town.decide(batch, "resume", stood_at=shown).outcome["state"] == "running"
    town.turn()
    town.answer_all()
    town.turn()
    assert (town.batch(batch).state, town.batch(batch).wave) == ("paused", 1)
    assert "has moved since it was shown" in refused(
        town.decide(batch, "resume", "cleo", stood_at=shown)
    )
    assert town.states(batch) == {"confirmed": 5, "waiting": 7}
    now = town.batch(batch).updated_at.isoformat()
    assert town.decide(batch, "resume", "cleo", stood_at=now).outcome["state"] == "running"


@pytest.mark.parametrize("wave", [0, 1, 2])
def test_a_pause_within_a_wave_opens_no_other(town, waving, wave):
    batch = waving(soak_s=0)
    for _ in range(wave):
        town.answer_all()
        town.turn()
    town.decide(batch, "pause", "ann", reason="storm")
    assert town.batch(batch).wave == wave
    town.turn(20)
    assert town.batch(batch).state == "paused"
    before = town.states(batch)
    town.decide(batch, "resume")
    town.turn()
    assert (town.batch(batch).wave, town.states(batch)) == (wave, before)
    town.answer_all()
    town.turn(times=4)
    town.answer_all()
    town.turn(times=4)
    town.answer_all()
    assert town.batch(batch).state == "done"


def test_failures_in_the_second_wave_stop_the_third(town, waving):
    batch = waving(soak_s=0, stop_percent=40)
    town.answer_all()
    town.turn()
    town.answer_all("failed", None)
    town.turn(3_600, times=2)
    assert town.batch(batch).state == "stopped"
    assert town.batch(batch).detail == "3 of 3 rows failed, more than 40 %", "of this wave alone"
    assert town.states(batch) == {"confirmed": 2, "failed": 3, "waiting": 7}
    town.decide(batch, "retry")
    town.turn()
    assert town.answer_all() == town.meters[2:5]
    town.turn()
    assert town.states(batch) == {"confirmed": 5, "released": 7}


def test_an_approver_may_let_the_third_begin_whatever_the_second_came_to(town, waving):
    batch = waving(soak_s=0)
    town.answer_all()
    town.turn()
    town.answer_all("failed", None)
    town.decide(batch, "resume")
    town.turn()
    assert town.states(batch) == {"confirmed": 2, "failed": 3, "released": 7}


@pytest.mark.parametrize("change", [{"waves": [11, 12]}, {"soak_s": 0}, {"waves": None}])
def test_waves_edited_after_the_approval_never_leave(town, waving, change):
    batch = waving(soak_s=3_600)
    town.answer_all()
    town.change(update(Batch).where(Batch.id == batch).values(wave=1, **change))
    town.turn(3_601)
    assert town.batch(batch).state == "tampered"
    assert town.states(batch) == {"confirmed": 2, "withdrawn": 10}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"waves": [0, 10]}, "whole percentages"),
        ({"waves": [True]}, "whole percentages"),
        ({"waves": "1, 10"}, "whole percentages"),
        ({"waves": [60, 41]}, "100 percent at most"),
        ({"waves": [1] * 10}, "up to 9 waves"),
        ({"waves": [1], "soak_s": -1}, "soak time"),
        ({"waves": [1], "soak_s": 1.5}, "soak time"),
        ({"soak_s": 60}, "soak time"),
        ({"waves": [1], "canary": 2}, "the first wave is the canary"),
    ],
)
def test_what_makes_no_waves(town, refused, changes, words):
    assert words in refused(town.ask(**{"canary": 0, **changes}))


def test_a_batch_of_before_keeps_its_hash_and_goes_on(town):
    batch = town.propose()
    row = town.batch(batch)
    terms = [batch, "relay.read", {}, "a look", "ann", 2, 100, 3_600_000, 20]
    lines = [terms] + [
        [one.position, one.meter, one.gateway, one.area, one.excluded] for one in town.rows(batch)
    ]
    told = "".join(f"{json.dumps(line, separators=(',', ':'))}\n" for line in lines)
    assert row.digest == hashlib.sha256(b"hesper batch v1\x00" + told.encode()).hexdigest()
    engine = town.head_end.databases.authority
    migrate.go_back(engine, "authority", "0009")
    migrate.upgrade(engine, "authority")
    assert town.decide(batch).outcome["state"] == "canary"
    town.turn()
    assert town.states(batch) == {"released": 2, "waiting": 10}
    town.answer_all()
    town.turn()
    assert town.states(batch) == {"confirmed": 2, "released": 10}


def test_who_goes_back_a_version_ends_what_leaves_in_waves(town, waving):
    batch = waving()
    engine = town.head_end.databases.authority
    migrate.go_back(engine, "authority", "0009")
    migrate.upgrade(engine, "authority")
    assert town.batch(batch).state == "aborted"
    town.turn()
    assert town.states(batch)["withdrawn"] == 10


def test_who_lets_a_wave_go_on_does_not_let_the_next_begin_if_it_has_failed_by_now(town, waving):
    batch = waving(soak_s=0, stop_percent=40)
    town.answer_all()
    town.turn()
    town.decide(batch, "pause", "ann", reason="storm")  # three of the second are under way
    town.turn()
    town.answer_all("failed", None)
    town.decide(batch, "resume")
    town.turn()
    assert (town.batch(batch).state, town.batch(batch).wave) == ("stopped", 1)
    assert town.batch(batch).detail == "3 of 3 rows failed, more than 40 %"
    assert town.states(batch) == {"confirmed": 2, "failed": 3, "waiting": 7}
    town.decide(batch, "resume")
    town.turn()
    assert town.states(batch) == {"confirmed": 2, "failed": 3, "released": 7}


@pytest.mark.parametrize("changes", [{"soak_s": 0, "stop_percent": 100}, {"soak_s": 0}])
def test_a_wave_of_which_nothing_was_confirmed_is_followed_by_none_unasked(town, waving, changes):
    batch = waving(**changes)
    if "stop_percent" in changes:
        town.answer_all("failed", None)
    else:
        cancelled = update(CommandRecord).values(state="cancelled")
        town.change(cancelled)
    town.turn(3_600, times=3)
    assert (town.batch(batch).state, town.batch(batch).wave) == ("paused", 0)
    assert "nothing" in town.batch(batch).detail
    town.decide(batch, "resume")
    town.turn()
    assert town.states(batch)["released"] == 3
