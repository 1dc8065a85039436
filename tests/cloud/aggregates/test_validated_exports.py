"""Exports of what counts: raw values, estimates and edits, each with its own quality."""

import csv
import io
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hesper_cloud.aggregates.curves import Shelf, validated
from hesper_cloud.aggregates.views import Range, views
from hesper_cloud.cli import app
from hesper_cloud.db.engines import writing
from hesper_cloud.exports import cim, espi
from hesper_cloud.exports.formats import FORMATS
from hesper_cloud.exports.running import Wanted, export, octets_of
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.substitutes import Curve, Edit
from typer.testing import CliRunner

PROFILE, NAME = "1.0.99.1.0.255", "1.0.1.8.0.255"


@pytest.fixture
def shelf(plant: Any) -> Shelf:
    """Meter M1: two captures missing and estimated, one edited; M2: all stored; M3: one edit."""
    start, end = plant.at("2026-06-01"), plant.at("2026-06-02")
    for meter in ("M1", "M2", "M3"):
        plant.add_meter(meter)
    register = plant.register(start, end)
    plant.put("M2", register)
    plant.put_all("M2", {plant.VOLTAGE: dict.fromkeys((start - 450, start + 450), 2301)})
    plant.put("M1", {at: v for at, v in register.items() if at not in (start + 9000, start + 9900)})
    for meter, at in (("M1", start + 18_000), ("M3", start + 900)):
        _edit(plant, meter, at)
    plant.settle()
    return Shelf(plant.engine, plant.store, plant.book)


def _edit(plant: Any, meter: str, at: int) -> None:
    when = datetime.fromtimestamp(at, UTC)
    edit = Edit(Curve(meter, PROFILE, NAME), when, 1051, 1, 30, "read by a person", f"key-{meter}")
    with writing(plant.engine) as session:
        substitutes.edited(session, edit, "ann", plant.now)
        dirty.mark(session, [(meter, at // 86_400)], plant.now)


def span(plant: Any) -> Range:
    return Range(PROFILE, plant.at("2026-06-01") - 900, plant.at("2026-06-02") + 900)


def told(plant: Any, shelf: Shelf, name: Any, meters: list[str] | None = None) -> bytes:
    profile, start, end = span(plant)
    return b"".join(octets_of(shelf, Wanted(name, profile, start, end, meters, validated=True)))


def test_many_curves_are_as_each_is_by_itself(plant: Any, shelf: Shelf) -> None:
    profile, start, end = span(plant)
    found = {(v.meter, v.quantity.logical_name): v for v in views(shelf, span(plant), None)}
    assert {meter for meter, _ in found} == {"M1", "M2", "M3"}
    for (meter, name), view in found.items():
        alone = validated(shelf, Curve(meter, profile, name), start, end)
        assert (view.values, view.quantity[1:]) == (alone.values, (alone.scaler, alone.unit))


def test_csv_has_a_line_per_value_with_its_quality(plant: Any, shelf: Shelf) -> None:
    rows = list(csv.DictReader(io.StringIO(told(plant, shelf, "csv").decode())))
    of = {
        source: [r for r in rows if r["source"] == source] for source in ("raw", "estimate", "edit")
    }
    assert len(of["estimate"]) == 2
    assert {(r["meter"], r["grade"], r["codes"]) for r in of["estimate"]} == {("M1", "9", "2.8.0")}
    edits = {r["meter"]: r for r in of["edit"]}
    assert (edits["M1"]["value"], edits["M1"]["raw"], edits["M1"]["grade"]) == (
        "10510",
        "10500",
        "7",
    )
    assert (edits["M3"]["value"], edits["M3"]["raw"]) == ("10510", "")
    assert {r["grade"] for r in of["raw"] if r["logical_name"] == NAME and r["meter"] == "M2"} == {
        "17"
    }


def test_every_format_gives_the_same_values(plant: Any, shelf: Shelf, tmp_path: Path) -> None:
    count = len(told(plant, shelf, "csv", ["M1"]).splitlines()) - 1
    message = ET.fromstring(told(plant, shelf, "iec61968", ["M1"]))
    assert len(list(message.iter(f"{{{cim.READINGS}}}value"))) == count
    codes = {each.get("ref") for each in message.iter(f"{{{cim.READINGS}}}ReadingQualityType")}
    assert {"2.0.1", "2.7.0", "2.8.0"} <= codes
    feed = ET.fromstring(told(plant, shelf, "espi", ["M1"]))
    assert {"7", "9", "17"} <= {each.text for each in feed.iter(f"{{{espi.ESPI}}}quality")}
    profile, start, end = span(plant)
    wanted = Wanted("parquet", profile, start, end, ["M1"], validated=True)
    done = export(shelf, wanted, str(tmp_path))
    tables = [pq.ParquetFile(path).read() for path in tmp_path.rglob("validated-M1.parquet")]
    assert sum(table.num_rows for table in tables) == count == done.readings
    assert "edit" in {source for table in tables for source in table["source"].to_pylist()}


@pytest.mark.parametrize("scaler", [-128, -18, 18, 127])
def test_a_wrong_scaler_changes_no_other_value(plant: Any, shelf: Shelf, scaler: int) -> None:
    profile, start, end = span(plant)
    before = list(views(shelf, span(plant), ["M2"]))
    odd = plant.at("2026-06-01T12:05")
    plant.put("M2", {odd: 70}, plant.ENERGY._replace(scaler=scaler))
    assert list(views(shelf, span(plant), ["M2"])) == before, "it cannot be said in their scaler"
    alone = validated(shelf, Curve("M2", profile, NAME), start, end)
    assert (alone.values, alone.scaler) == (before[0].values, 0)
    for form in FORMATS:
        assert told(plant, shelf, form, ["M2"])


def test_a_curve_that_only_has_a_wrong_scaler_is_told_in_it(plant: Any) -> None:
    at = plant.at("2026-06-01T12:00")
    plant.put("M9", {at: 7}, plant.ENERGY._replace(scaler=-18))
    shelf = Shelf(plant.engine, plant.store, plant.book)
    (view,) = views(shelf, span(plant), ["M9"])
    alone = validated(shelf, Curve("M9", PROFILE, NAME), at, at + 1)
    assert (view.values[0].value, view.quantity.scaler) == (7, -18)
    assert (alone.values, alone.scaler) == (view.values, -18)


def test_an_edit_of_more_than_64_bits_leaves_the_raw_value(plant: Any, shelf: Shelf) -> None:
    profile, start, end = span(plant)
    at = plant.at("2026-06-01T06:00")
    huge = Edit(Curve("M2", profile, NAME), datetime.fromtimestamp(at, UTC), 2**62, 3, 30, "", "k")
    before = list(views(shelf, span(plant), ["M2"]))
    with writing(plant.engine) as session:
        substitutes.edited(session, huge, "ann", plant.now)
    assert list(views(shelf, span(plant), ["M2"])) == before
    assert validated(shelf, huge.curve, start, end).values == before[0].values


def test_edits_alone_are_told_in_the_finest_of_their_scalers(plant: Any) -> None:
    plant.add_meter("M9")
    at, curve = plant.at("2026-06-01T06:00"), Curve("M9", PROFILE, NAME)
    with writing(plant.engine) as session:
        for place, scaler in enumerate((3, 0)):
            when = datetime.fromtimestamp(at + 900 * place, UTC)
            edit = Edit(curve, when, 5, scaler, 30, "", f"k{place}")
            substitutes.edited(session, edit, "ann", plant.now)
    shelf = Shelf(plant.engine, plant.store, plant.book)
    (view,) = views(shelf, span(plant), ["M9"])
    alone = validated(shelf, curve, at, at + 901)
    assert [each.value for each in view.values] == [5000, 5]
    assert (alone.values, alone.scaler) == (view.values, view.quantity.scaler)


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_of_nothing_is_well_formed(plant: Any, shelf: Shelf, name: Any) -> None:
    octets = b"".join(octets_of(shelf, Wanted(name, PROFILE, 0, 10, validated=True)))
    if name in {"espi", "iec61968"}:
        ET.fromstring(octets)
    else:
        assert octets.splitlines()[:1] == ([] if name == "parquet" else octets.splitlines())


def test_by_command_line(plant: Any, shelf: Shelf, tmp_path: Path) -> None:
    plant.close()
    config = tmp_path / "cloud.toml"
    config.write_text('state = "."\n')
    words = ["export", "csv", str(tmp_path / "out"), "--from", "2026-06-01", "--to", "2026-06-02"]
    done = CliRunner().invoke(app, [*words, "--validated", "-c", str(config)])
    assert done.exit_code == 0, done.output
    (file,) = (tmp_path / "out").iterdir()
    assert file.name.startswith("validated-")
    assert "estimate" in file.read_text()
