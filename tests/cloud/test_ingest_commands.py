"""``hesper-cloud dead-letters`` and ``gateway send-again``, on a registry of their own."""

from pathlib import Path

import pytest
from hesper_cloud.cli import app
from hesper_cloud.db import registry
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.settings import Settings
from sqlalchemy import Engine, select
from tables import make_tables
from typer.testing import CliRunner

TOPIC = "hesper/v1/gw-1/up/readings"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    config = tmp_path / "cloud.toml"
    config.write_text("")
    monkeypatch.setenv("HESPER_CONFIG", str(config))
    settings = Settings.load(config)
    settings.state.mkdir()
    engine = open_engine(settings.database.url)
    make_tables(engine)
    letters = DeadLetters(engine)
    letters.add(TOPIC, b'{"kind": 3}', "kind 3")
    letters.add(TOPIC, b"\x00\x01", "not a Hesper payload")
    return engine


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_letters_are_listed_shown_and_asked_for(engine: Engine, tmp_path: Path) -> None:
    newest, oldest = run("dead-letters", "list").splitlines()
    assert newest.startswith("2\t")
    assert oldest.endswith(f"\tset aside\t{TOPIC}\tkind 3")
    assert '{"kind": 3}' in run("dead-letters", "show", "1")
    assert "0001" in run("dead-letters", "show", "2")
    assert "\nto try it again: hesper-cloud dead-letters replay 2\n" in run(
        "dead-letters", "show", "2"
    )
    run("dead-letters", "show", "2", "--out", str(tmp_path / "letter"))
    assert (tmp_path / "letter").read_bytes() == b"\x00\x01"
    assert run("dead-letters", "replay", "2").startswith("1 letters")
    assert "asked for" in run("dead-letters", "list").splitlines()[0]
    assert run("dead-letters", "replay", "--topic", "up/readings").startswith("2 letters")
    assert run("dead-letters", "list", "--topic", "up/events") == ""
    assert CliRunner().invoke(app, ["dead-letters", "show", "9"]).exit_code == 2


@pytest.mark.parametrize("words", [("2", "9"), ()])
def test_a_number_that_no_letter_has_is_refused_and_no_number_too(
    engine: Engine, words: tuple[str, ...]
) -> None:
    refused = CliRunner().invoke(app, ["dead-letters", "replay", *words])
    assert refused.exit_code == 2
    assert ("no dead letter 9" if words else "say which letters") in refused.output
    assert "asked for" not in run("dead-letters", "list")


def test_a_gateway_is_asked_again(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(registry.Gateway(id="gw-1"))
    run("gateway", "send-again", "gw-1", "--from", "7", "--epoch", "00112233445566ff")
    run("gateway", "send-again", "gw-1", "--from", "5", "--epoch", "00112233445566ff")
    with reading(engine) as session:
        (wish,) = session.scalars(select(registry.AgainAsk)).all()
    assert (wish.gateway, wish.from_sequence, wish.sent_at) == ("gw-1", 5, None)
    assert CliRunner().invoke(app, ["gateway", "send-again", "Not A Name"]).exit_code == 2
    mistyped = CliRunner().invoke(app, ["gateway", "send-again", "gw-l"])
    assert mistyped.exit_code == 2
    assert "no gateway 'gw-l'" in mistyped.output
    with reading(engine) as session:
        assert len(session.scalars(select(registry.AgainAsk)).all()) == 1
