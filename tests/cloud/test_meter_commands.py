"""``hesper-cloud meter import``: a list of meters is entered as a whole, or nothing of it."""

import json
from pathlib import Path
from typing import Any

from command_line import tell
from hesper_cloud import provision
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.settings import Settings
from sqlalchemy import event, select


def test_a_mistyped_gateway_is_named_and_nothing_is_entered(tmp_path: Path) -> None:
    config, papers = tmp_path / "cloud.toml", tmp_path / "meters.json"
    config.write_text("")
    settings = Settings.load(config)
    provision.initialise(settings, "default")
    databases = provision.Databases.open(settings)
    provision.add_gateway(databases, "gw-1", "1a" * 32)
    meters = [{"id": "HES1", "gateway": "gw-1"}, {"id": "HES2", "gateway": "gw-l"}]
    papers.write_text(json.dumps(meters))
    refused = tell(config, "meter", "import", papers)
    assert refused.returncode == 2
    assert "there is no gateway gw-l; on record: gw-1" in refused.stderr
    with reading(databases.registry) as session:
        assert session.scalars(select(Meter.id)).all() == []
        assert "gw-l" not in session.scalars(select(Gateway.id)).all()
    papers.write_text(json.dumps([one | {"gateway": "gw-1"} for one in meters]))
    assert tell(config, "meter", "import", papers).stdout == "2 meters are commissioned\n"
    databases.close()


def test_of_a_long_list_some_are_entered_at_a_time_without_asking_for_each(head_end: Any) -> None:
    databases = head_end.databases
    papers = [MeterPaper(id=f"L{number}", gateway="gw-1") for number in range(1100)]
    happened: list[str] = []

    def asked(_: Any, __: Any, statement: str, *___: Any) -> None:
        happened.append(statement.split()[0])

    def committed(_: Any) -> None:
        happened.append("COMMIT")

    event.listen(databases.registry, "before_cursor_execute", asked)
    event.listen(databases.registry, "commit", committed)
    assert commission(databases, papers) == 1100
    assert happened.count("COMMIT") >= 3
    assert happened.count("SELECT") < 20
    with reading(databases.registry) as session:
        assert session.get_one(Meter, "L1099").state == "commissioned"
