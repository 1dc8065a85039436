"""Days republished on a real Mosquitto under the real access file."""

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hesper_cloud.aggregates.book import EnergyBook, number_at
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.db.engines import writing
from hesper_cloud.exports.outlet import Message, Outlet
from hesper_cloud.exports.republish_days import RepublishDays
from hesper_cloud.job_settings import ExportSettings, RepublishSettings
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.stores.port import StoreUnavailable
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.substitutes import Curve, Edit

PROFILE, ENERGY = "1.0.99.1.0.255", "1.0.1.8.0.255"
WANTED = RepublishSettings(validated=True, aggregates=("half-hour", "day"), quantities=(ENERGY,))
TOPIC = "hesper/v1/cloud/out/M%2B1"
Follow = Callable[..., RepublishDays]


@pytest.fixture
def follow(plant: Any, connected_outlet: Callable[[], Outlet]) -> Follow:
    """Makes followers, each as after a start of the process."""

    def make(wanted: RepublishSettings = WANTED) -> RepublishDays:
        exports = ExportSettings(republish=wanted)
        settings = plant.settings.model_copy(update={"exports": exports})
        shelf = Shelf(plant.engine, plant.store, plant.book)
        return RepublishDays(connected_outlet(), settings, shelf, lambda: plant.now)

    return make


def store_day(plant: Any, meter: str = "M+1", text: str = "2026-06-01", gap_h: int = 3) -> int:
    """Stores a day in which a capture is missing; returns when that was."""
    start = plant.at(text)
    register = plant.register(start, start + 86_400)
    gap = start + gap_h * 3600
    plant.put(meter, {at: value for at, value in register.items() if at != gap})
    plant.settle()
    plant.now += timedelta(minutes=5)
    return gap


def edit(plant: Any, at: int) -> None:
    when = datetime.fromtimestamp(at, UTC)
    made = Edit(Curve("M+1", PROFILE, ENERGY), when, 10_310, 0, 30, "read by a person", "key-1")
    with writing(plant.engine) as session:
        substitutes.edited(session, made, "ann", plant.now)
        dirty.mark(session, [("M+1", at // 86_400)], plant.now)


def validated_raw(at: str, value: str) -> dict[str, Any]:
    """Returns how a value is told that passed every check."""
    codes = ["2.0.1"]
    return {"captured_at": at, "value": value, "source": "raw", "grade": 17, "codes": codes}


def of_day(reader: Any, count: int, text: str = "2026-06-01") -> list[dict[str, Any]]:
    """Returns what comes of one day, among as many messages as come."""
    told = [reader.next() for _ in range(count)]
    return [each for topic, each in told if topic.endswith(text)]


class Taking(Outlet):
    """A way out that takes all there is."""

    def is_connected(self) -> bool:
        return True

    def publish(self, messages: Iterable[Message]) -> bool:
        return bool(list(messages))


def test_days_that_a_clock_ahead_numbered_hold_none_up_when_it_is_right(plant: Any) -> None:
    year = timedelta(days=365)
    exports = ExportSettings(republish=RepublishSettings(validated=True))
    settings = plant.settings.model_copy(update={"exports": exports})
    shelf = Shelf(plant.engine, plant.store, plant.book)
    follower = RepublishDays(Taking(BrokerSettings()), settings, shelf, lambda: plant.now)
    store_day(plant)
    assert follower.turn() == 3
    plant.now += year
    store_day(plant, "M2")
    plant.now -= year
    plant.put("M3", {plant.at("2026-06-01"): 1})
    plant.settle()
    assert [follower.turn(), follower.turn()] == [5, 0]


@pytest.mark.integration
def test_a_day_goes_out_as_it_counts_and_added_up(
    plant: Any, follow: Follow, mqtt_reader: Callable[[str], Any]
) -> None:
    gap = store_day(plant)
    edit(plant, gap + 900)
    plant.settle()
    plant.now += timedelta(minutes=5)
    reader, billing, stranger = (mqtt_reader(each) for each in ("out.mdm", "out.billing", "gw-1"))
    assert follow().turn() == 3  # captures at midnight count for the days beside it
    told = dict(reader.next() for _ in range(6))
    assert dict(billing.next() for _ in range(6)) == told
    validated = told[f"{TOPIC}/validated/2026-06-01"]
    (curve,) = validated.pop("curves")
    version = validated.pop("version")
    assert validated == {
        "meter": "M+1",
        "day": "2026-06-01",
        "profile": PROFILE,
        "starts_at": "2026-05-31T22:00:00Z",
        "ends_at": "2026-06-01T22:00:00Z",
    }
    assert (curve["logical_name"], curve["unit"], len(curve["values"])) == (ENERGY, "Wh", 96)
    first, estimate, edited = curve["values"][0], curve["values"][11], curve["values"][12]
    assert first == validated_raw("2026-05-31T22:15:00Z", "10025")
    assert (estimate["source"], estimate["grade"], estimate["codes"]) == ("estimate", 9, ["2.8.0"])
    assert (edited["source"], edited["value"], edited["raw"]) == ("edit", "10310", "10325")
    aggregates = told[f"{TOPIC}/aggregates/2026-06-01"]
    assert aggregates["version"] == version
    (curve,) = aggregates["curves"]
    (day,) = curve["steps"]["day"]
    halves = curve["steps"]["half-hour"]
    assert (day["sum"], day["count"], day["starts_at"]) == ("2400", 96, "2026-05-31T22:00:00Z")
    assert (len(halves), sum(int(each["sum"]) for each in halves)) == (48, 2400)
    assert sum(each["estimated"] for each in halves) == day["estimated"] > 0
    assert stranger.messages.empty(), "a gateway's account reads none of it"


@pytest.mark.integration
def test_after_a_restart_it_goes_on_and_late_data_is_a_new_version(
    plant: Any, follow: Follow, mqtt_reader: Callable[[str], Any]
) -> None:
    gap = store_day(plant)
    reader = mqtt_reader("out.mdm")
    before = follow()
    assert before.turn() == 3
    assert before.turn() == 0
    (old,) = [each for each in of_day(reader, 6) if "values" in each["curves"][0]]
    plant.put("M+1", {gap: 10_301})
    plant.settle()
    plant.now += timedelta(minutes=5)
    again = follow(RepublishSettings(validated=True))
    assert again.turn() > 0
    (new,) = of_day(reader, 1)
    assert new["version"] > old["version"]
    assert old["curves"][0]["values"][11]["source"] == "estimate"
    assert new["curves"][0]["values"][11] == validated_raw("2026-06-01T01:00:00Z", "10301")
    assert again.turn() == 0


@pytest.mark.integration
def test_nothing_is_lost_while_the_broker_is_gone(
    plant: Any, follow: Follow, mqtt_reader: Callable[[str], Any], outward_mosquitto: Any
) -> None:
    for number in range(4):
        store_day(plant, f"M{number}")
    reader = mqtt_reader("out.mdm")
    follower = follow(RepublishSettings(validated=True, days_per_turn=5))
    assert follower.turn() == 5
    told = [reader.next()[1] for _ in range(5)]
    outward_mosquitto.kill()
    assert follower.turn() == 0, "without a connection it waits"
    outward_mosquitto.start()
    reader = mqtt_reader("out.mdm")
    again = follow(RepublishSettings(validated=True, days_per_turn=5))
    assert [again.turn(), again.turn(), again.turn()] == [5, 2, 0]
    told += [reader.next()[1] for _ in range(7)]
    assert len({(each["meter"], each["day"]) for each in told}) == 12
    assert len({each["version"] for each in told}) == 12


@pytest.mark.integration
def test_a_day_waits_until_it_is_settled_and_old_work_stays_at_home(
    plant: Any, follow: Follow, mqtt_reader: Callable[[str], Any]
) -> None:
    store_day(plant)
    plant.now += timedelta(days=3)
    store_day(plant, "M2")
    plant.now -= timedelta(seconds=270)
    reader = mqtt_reader("out.mdm")
    follower = follow(RepublishSettings(aggregates=("hour",), backlog_days=2))
    assert follower.turn() == 0, "worked on half a minute ago"
    plant.now += timedelta(seconds=60)
    assert follower.turn() == 3
    assert {reader.next()[1]["meter"] for _ in range(3)} == {"M2"}


def test_nothing_goes_out_unless_told(plant: Any) -> None:
    store_day(plant)
    shelf = Shelf(plant.engine, plant.store, plant.book)
    outlet = Outlet(BrokerSettings(port=1))
    assert RepublishDays(outlet, plant.settings, shelf, lambda: plant.now).turn() == 0
    assert outlet._client is None


def test_numbers_rise_whatever_the_clock_does_and_stand_with_the_rows(plant: Any) -> None:
    store_day(plant)
    first = plant.book.workings(0, 2**62, 10)
    plant.now -= timedelta(hours=1)
    store_day(plant, gap_h=4)
    second = plant.book.workings(0, 2**62, 10)
    assert {each[:2] for each in second} == {each[:2] for each in first}, "each day once"
    assert second[1].number > first[-1].number > number_at(plant.now)
    worked = pa.table({"meter": ["M9"], "day": [second[0].day]})
    with pytest.raises(StoreUnavailable):
        plant.book.replace(worked, {"scores": pa.table({"wrong": [1]})}, plant.now)
    assert plant.book.workings(0, 2**62, 10) == second


def test_a_backup_of_before_the_numbers_is_restored(plant: Any, tmp_path: Path) -> None:
    store_day(plant)
    plant.book.copy_to(tmp_path / "copy")
    (tmp_path / "copy" / "workings.parquet").unlink()
    with closing(EnergyBook(tmp_path / "new.duckdb")) as book:
        assert set(book.fill_from(tmp_path / "copy")) == {"days", "scores", "verdicts"}
        assert book.workings(0, 2**62, 10) == []
