"""`hesper-cloud batch`: a person's own account, the head end's own checks."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.cli import app
from hesper_cloud.db.authority import Batch
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.web_settings import WebSettings
from serving_thread import serving_of
from typer.testing import CliRunner, Result

PASSWORDS = {"ann": "asking-politely-1", "ben": "second-pair-of-eyes"}


@pytest.fixture
def batch(town: Any) -> str:
    """A batch that one person asked for, another approved, and that is held."""
    made: str = town.propose(meters=town.meters[:3], kind="ping")
    assert town.decide(made).state == "done"
    assert town.decide(made, "pause", who="ann", reason="a storm").state == "done"
    return made


@pytest.fixture
def url(town: Any, batch: str, deciding: None) -> Iterator[str]:
    registry = town.head_end.databases.registry
    settings = town.head_end.settings.model_copy(update={"web": WebSettings(port=0)})
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    clock = town.head_end.clock
    sources = Sources(settings, registry, read_only, store, LatestValues(), clock)
    with serving_of(assemble(sources, lambda: 0.0)) as server:
        yield f"http://127.0.0.1:{server.port}"
    store.close()
    read_only.dispose()


def run(url: str, who: str, *words: str, typed: str = "") -> Result:
    typed = f"{PASSWORDS[who]}\n{typed}"
    return CliRunner().invoke(app, ["batch", "--url", url, "--user", who, *words], input=typed)


def why_not(result: Result) -> str:
    assert isinstance(result.exception, ProvisioningError), result.output
    return str(result.exception)


def test_from_the_list_to_its_end(town: Any, batch: str, url: str, tmp_path: Path) -> None:
    listed = run(url, "ann", "list")
    assert listed.exit_code == 0, listed.output
    assert f"{batch}  paused" in listed.stdout
    assert run(url, "ann", "list", "--state", "done").stdout.strip() == ""
    assert '"digest": "' in run(url, "ann", "show", batch).stdout
    out = tmp_path / "rows.csv"
    assert run(url, "ann", "rows", batch, "-o", str(out)).exit_code == 0
    assert out.read_text().count("\n") == 4
    assert run(url, "ann", "rows", batch).stdout.endswith(out.read_text())
    assert run(url, "ann", "rows", batch, "-o", str(out)).exit_code != 0, "nothing is overwritten"

    again = ("resume", batch, "--reason", "the storm is over")
    assert "may not approve commands" in why_not(run(url, "ann", *again, typed="asking-politely-1"))
    assert "password" in why_not(run(url, "ben", *again, typed="not-his-own"))
    resumed = run(url, "ben", *again, typed=PASSWORDS["ben"])
    assert f"{batch} is canary" in resumed.stdout, resumed.output
    assert "ping for 3 meters, asked by ann" in resumed.stderr
    held = run(url, "ann", "pause", batch, "--reason", "rain again")
    assert f"{batch} is paused" in held.stdout, held.output
    aborted = run(url, "ann", "abort", batch, "--reason", "enough")
    assert f"{batch} is aborted" in aborted.stdout
    assert town.batch(batch).detail == "enough"
    assert PASSWORDS["ben"] not in resumed.output


def test_a_resume_is_of_the_batch_that_was_shown(
    town: Any, batch: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(text: str, **_: Any) -> str:
        if "once more" in text:  # somebody else lets it go on, and it is held again
            with writing(town.head_end.databases.authority) as session:
                session.get_one(Batch, batch).updated_at += timedelta(minutes=5)
        return PASSWORDS["ben"]

    monkeypatch.setattr("typer.prompt", meanwhile)
    late = run(url, "ben", "resume", batch, "--reason", "the storm is over")
    assert "has moved since it was shown" in why_not(late)


def test_what_cannot_be_done_is_said(url: str) -> None:
    assert "there is no batch" in why_not(run(url, "ann", "show", "none"))
    helped = CliRunner().invoke(app, ["batch", "list", "--help"])
    assert (helped.exit_code, "--state" in helped.output) == (0, True)
    nobody = CliRunner().invoke(app, ["batch", "--url", url, "list"])
    assert "name your account" in str(nobody.exception)
    wrong = CliRunner().invoke(app, ["batch", "--url", url, "-u", "ann", "list"], input="wrong\n")
    assert "wrong" in why_not(wrong)
    assert "https alone" in why_not(run("http://hes.example.org", "ann", "list"))
