"""A rule tried on history says what it would have told live; long trials survive their process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import LongJob
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.rules import trials
from hesper_cloud.rules.definition import Definition
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId

T0 = 1_790_000_100
VOLTAGE = "1.0.32.7.0.255"
DAY = (T0, T0 + 86_400)
VOLTS = {
    "M1": [2300, 2540, 2545, 2520, 2490, 2300, 2600, 2600],
    "M2": [2300, 2300, 2300, 2300, 2300, 2300, 2300, 2300],
    "M3": [2500, 2535, 2535, 2535, 2535, 2535, 2535, 2400],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    yield made
    made.close()


def block() -> Block:
    count = len(VOLTS["M1"])
    return Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity(VOLTAGE, -1, 35),),
        meters=tuple(VOLTS),
        meter_index=np.repeat(np.arange(len(VOLTS)), count),
        captured_at=np.tile(T0 + 900 * np.arange(count), len(VOLTS)),
        clock_status=np.zeros(count * len(VOLTS), dtype=np.int64),
        quality=np.zeros(count * len(VOLTS), dtype=np.int64),
        received_at=T0 + 900 * count,
        values=np.concatenate(list(VOLTS.values()))[None, :],
        missing=None,
    )


def said(condition: dict[str, Any], **more: Any) -> Definition:
    return Definition.model_validate({"title": "r", "condition": condition, **more})


def shown(outcome: trials.Outcome) -> list[str]:
    return [
        f"{subject} +{at - T0}" + ("" if over is None else f" -{over - T0}")
        for subject, at, over, _ in sorted(outcome.newest)
    ]


HIGH = {"kind": "threshold", "logical_name": VOLTAGE, "limit": "253", "hysteresis": "3"}
LIVE = {
    "plain": HIGH,
    "held": HIGH | {"hold_s": 1800},
    "low": HIGH | {"direction": "below", "limit": "245"},
    "rate": {"kind": "rate", "logical_name": VOLTAGE, "limit": "50", "hysteresis": "10"},
}


@pytest.mark.parametrize("name", sorted(LIVE))
def test_history_says_what_was_told_live(world: Any, store: DuckDbStore, name: str) -> None:
    world.meters(*VOLTS)
    world.rule(LIVE[name], fresh_s=86_400)
    for place in range(len(VOLTS["M1"])):
        world.see(*((meter, 900 * place, volts[place]) for meter, volts in VOLTS.items()))
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    outcome = trials.whole(world.registry, store, said(LIVE[name]), DAY)
    assert sorted(shown(outcome)) == sorted(world.alerts()) != []
    assert (outcome.subjects, outcome.looked_at) == (3, 24)
    assert outcome.alerts == len(world.alerts()) == sum(outcome.per_bucket)


def test_the_words_and_the_scope_of_a_trial(world: Any, store: DuckDbStore) -> None:
    world.meters("M1", area="north")
    world.meters("M2", "M3", area="south")
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    rule = said(HIGH, scope={"areas": ["north"]}, text="{value} over {limit}")
    outcome = trials.whole(world.registry, store, rule, DAY)
    assert [words for *_, words in outcome.newest] == ["260 over 253", "254 over 253"]
    assert (outcome.alerting, outcome.still_open) == (1, 1)


def test_absence_on_history_is_found_between_captures(world: Any, store: DuckDbStore) -> None:
    world.meters("M1", "M9")
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    outcome = trials.whole(world.registry, store, said({"kind": "absence", "after_s": 3600}), DAY)
    assert shown(outcome) == [f"M1 +{6300 + 3600}", "M9 +3600"]


def test_rules_of_events_on_history(world: Any, store: DuckDbStore) -> None:
    world.meters("M1", "M2")
    for meter, second, code in (
        ("M1", 0, "tamper.cover_opened"), ("M1", 60, "tamper.cover_closed"),
        ("M1", 900, "tamper.cover_opened"), ("M2", 0, "tamper.cover_closed"),
    ):  # fmt: skip
        world.tell(meter, second, code)
    cover = {"kind": "event", "codes": ["tamper.cover_opened"], "ended_by": ["tamper.cover_closed"]}
    rule = said(cover | {"ends_after_s": None})
    outcome = trials.whole(world.registry, store, rule, DAY)
    assert shown(outcome) == ["M1 +0 -60", "M1 +900"]
    assert outcome.per_bucket[0] == 2


def test_a_figure_over_areas_on_history(world: Any, store: DuckDbStore) -> None:
    world.meters(*VOLTS, area="north")
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    mean = {"kind": "aggregate", "over": "area", "function": "mean", "logical_name": VOLTAGE}
    outcome = trials.whole(world.registry, store, said(mean | {"limit": "246"}), DAY)
    assert shown(outcome) == ["north +5400 -6300"]


def test_a_figure_on_history_is_as_it_was_seen_live(world: Any, store: DuckDbStore) -> None:
    world.meters(*VOLTS, area="north")
    group = Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000)
    store.write(group)
    figure = {"kind": "aggregate", "over": "area", "logical_name": VOLTAGE, "within_s": 1200}
    rules = {
        "low": figure | {"function": "sum", "direction": "below", "limit": "710"},
        "high": figure | {"function": "mean", "limit": "246", "hysteresis": "4", "hold_s": 600},
        "few": figure | {"function": "count", "direction": "below", "limit": "3"},
    }
    for name, condition in rules.items():
        world.rule(condition, name=name)
    for second in range(0, 10_800, 300):
        place, rest = divmod(second, 900)
        if not rest and place < len(VOLTS["M1"]):
            world.see(*((meter, second, volts[place]) for meter, volts in VOLTS.items()))
        world.round(second)
    span = (T0, T0 + 10_800)
    found = [
        each.replace("north", f"{name}/north")
        for name, condition in rules.items()
        for each in shown(trials.whole(world.registry, store, said(condition), span))
    ]
    assert sorted(found) == sorted(world.alerts()) != []


def test_meters_of_two_models_are_tried_by_the_scaler_of_each(
    world: Any, store: DuckDbStore
) -> None:
    world.meters(*VOLTS, "N1")
    finer = replace(
        block(),
        quantities=(Quantity(VOLTAGE, -3, 35),),
        meters=("N1",),
        meter_index=np.zeros(2, dtype=np.int64),
        captured_at=np.array([T0, T0 + 900]),
        clock_status=np.zeros(2, dtype=np.int64),
        quality=np.zeros(2, dtype=np.int64),
        values=np.array([[253_001, 249_999]]),
    )
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block(), finer], T0 * 1000))
    outcome = trials.whole(world.registry, store, said(HIGH), DAY)
    assert "N1 +0 -900" in shown(outcome)
    assert "M3 +900 -6300" in shown(outcome)
    highest = {"kind": "aggregate", "over": "fleet", "function": "sum", "logical_name": VOLTAGE}
    outcome = trials.whole(world.registry, store, said(highest | {"limit": "963"}), DAY)
    assert [words for *_, words in outcome.newest] == ["r."]


def test_absence_on_history_knows_what_was_before_the_range(world: Any, store: DuckDbStore) -> None:
    world.meters("M1")
    world.now += 7200
    world.meters("M2", "M8")
    world.meters("M9", life="stock")
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    absent, day = {"kind": "absence", "after_s": 86_400}, (T0 + 90_000, T0 + 176_400)
    for condition in (absent, absent | {"logical_name": VOLTAGE}):
        outcome = trials.whole(world.registry, store, said(condition), day)
        assert shown(outcome) == ["M1 +92700", "M2 +93600", "M8 +93600"]
        assert outcome.subjects == 3
    other = absent | {"logical_name": "1.0.31.7.0.255"}
    assert shown(trials.whole(world.registry, store, said(other), day))[0] == "M1 +90000"


def test_a_long_trial_goes_on_where_its_process_was_killed(
    world: Any, store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "PER_PORTION", 1)
    world.meters(*VOLTS)
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block()], (T0 + 7200) * 1000))
    parameters = {
        "definition": said(HIGH).model_dump(mode="json"), "start": DAY[0], "end": DAY[1]
    }  # fmt: skip
    clock: Callable[[], datetime] = lambda: datetime.fromtimestamp(T0, UTC) + timedelta(days=1)  # noqa: E731
    with writing(world.registry) as session:
        number = ask(session, Wish(trials.JOB, "on history", "ann", parameters), clock())
    turns = 0
    while Runner(world.registry, [trials.Trials(world.registry, store)], clock).turn():
        turns += 1  # each by a process of its own
    with reading(world.registry) as session:
        job = session.get_one(LongJob, number)
        whole = trials.whole(world.registry, store, said(HIGH), DAY)
        assert (job.state, job.done, turns) == ("done", 3, 3)
        assert job.result["alerts"] == whole.alerts == 3
        assert [tuple(each) for each in job.result["newest"]] == whole.newest
        assert job.result["per_bucket"] == whole.per_bucket


def test_a_figure_over_the_fleet_is_as_much_to_look_at_as_its_meters(world: Any) -> None:
    world.meters(*(f"M{n}" for n in range(500)))
    fleet = {"kind": "aggregate", "over": "fleet", "function": "mean", "limit": "1"}
    condition = fleet | {"logical_name": VOLTAGE}
    year = (T0 - 365 * 86_400, T0)
    assert trials.size(world.registry, said(condition), year).is_long
