"""Days are marked again from the command line."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hesper_cloud.cli import app
from typer.testing import CliRunner


def test_days_are_done_again_on_request(plant: Any, tmp_path: Any) -> None:
    plant.add_meter("M1")
    plant.put("M1", plant.register(plant.at("2026-06-01"), plant.at("2026-06-02")))
    plant.settle()
    plant.book.expire(date(2027, 1, 1))  # as if it had been lost
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{tmp_path}"\n[validation]\nzone = "Europe/Berlin"\n')
    arguments = ["energy", "again", "2026-06-01", "2026-06-02", "-c", str(config)]
    told = CliRunner().invoke(app, arguments)
    assert (told.exit_code, told.output) == (0, "2 days of 1 meters are marked\n"), told.output
    plant.settle()
    query = "SELECT score FROM scores WHERE day = DATE '2026-06-01'"
    assert plant.book.rows(query) == [(100,)]


def test_it_is_said_that_days_of_before_the_retention_stay_as_they_are(
    plant: Any, tmp_path: Any
) -> None:
    plant.add_meter("M1")
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{tmp_path}"\n[store.retention]\nraw_days = 92\n')
    today = datetime.now(UTC).date()
    for first, is_said in ((today - timedelta(200), True), (today - timedelta(2), False)):
        arguments = ["energy", "again", str(first), str(today), "-c", str(config)]
        told = CliRunner().invoke(app, arguments)
        assert (told.exit_code, "stay as they are" in told.output) == (0, is_said), told.output
