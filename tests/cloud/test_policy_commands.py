"""`hesper-cloud policy …` and `user factor`: checked before it is stored, audited, followed."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from hesper_cloud import cli, provision
from hesper_cloud.authority import facts
from hesper_cloud.authority.policy import POLICIES, Policy
from hesper_cloud.db.authority import AuditRow, SecondFactor
from hesper_cloud.db.engines import reading
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.settings import Settings
from sqlalchemy import select
from typer.testing import CliRunner


@pytest.fixture
def run(head_end, tmp_path):
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    assert Settings.load(config).state == head_end.settings.state

    def run(*words: str, given: str = "") -> str:
        result = CliRunner().invoke(cli.app, [*words, "--config", str(config)], input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return run


def active(head_end) -> Policy:
    with reading(head_end.databases.authority) as session:
        return facts.active_policy(session)


def test_a_policy_is_shown_changed_and_set(head_end, run, tmp_path):
    document = json.loads(run("policy", "show"))
    assert Policy.model_validate(document) == POLICIES["default"]
    document["hours"]["zone"] = "Europe/Berlin"
    document["disconnects"]["per_hour"] = 7
    file = tmp_path / "winter.json"
    file.write_text(json.dumps(document))
    assert "winter is active" in run("policy", "set", "winter", str(file))
    assert (active(head_end).disconnects.per_hour, active(head_end).hours.zone) == (
        7,
        "Europe/Berlin",
    )
    assert "* winter" in run("policy", "list")
    assert "policy strict is active" in run("policy", "set", "strict")
    with reading(head_end.databases.authority) as session:
        query = select(AuditRow).where(AuditRow.action == "policy.activate")
        rows = session.scalars(query.order_by(AuditRow.sequence)).all()
    assert [(row.subject, row.before) for row in rows[-2:]] == [
        ("winter", "default"),
        ("strict", "winter"),
    ]
    assert rows[-1].actor == provision.operator()
    assert json.loads(rows[-1].after) == POLICIES["strict"].model_dump(mode="json")


def test_what_is_no_policy_is_named_and_not_stored(head_end, run, tmp_path):
    file = tmp_path / "wrong.json"
    wrong = {"hours": {"zone": "Mars/Olympus"}, "disconnects": {"per_hour": -1}, "free": True}
    file.write_text(json.dumps(wrong))
    with pytest.raises(ProvisioningError) as refused:
        run("policy", "set", "wrong", str(file))
    for place in ("hours.zone", "disconnects.per_hour", "free"):
        assert place in str(refused.value)
    with pytest.raises(ProvisioningError, match="ships"):
        run("policy", "set", "unknown")
    assert active(head_end) == POLICIES["default"]


def test_a_document_is_checked_without_a_database(tmp_path: Path):
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({"expiry_s": 90}))
    result = CliRunner().invoke(cli.app, ["policy", "check", str(file)])
    assert result.output == "expiry_s: 90\nthe document is a policy\n"


def test_maintenance_is_added_and_what_is_over_goes(head_end, run):
    now = datetime.now(UTC)

    def add(name: str, begin: datetime, end: datetime) -> None:
        times = [f"{each:%Y-%m-%dT%H:%M:%S}" for each in (begin, end)]
        run("policy", "maintenance", name, "--begin", times[0], "--end", times[1], "--gateway", "g")

    add("past", now - timedelta(days=2), now - timedelta(days=1))
    add("next", now - timedelta(hours=1), now + timedelta(days=1))
    policy = active(head_end)
    assert [each.name for each in policy.maintenance] == ["next"]
    assert policy.maintained("g", now) == "next"
    with pytest.raises(ProvisioningError, match="ends after it begins"):
        add("never", now, now)


def test_the_operator_gives_and_takes_a_factor(head_end, run, monkeypatch):
    moment = datetime.now(UTC)
    monkeypatch.setattr("hesper_cloud.accounts.factors.pyotp.random_base32", lambda _: "A" * 32)
    code = pyotp.TOTP("A" * 32).at(moment)
    told = run("user", "factor", "ben", given=f"{code}\n")
    assert "otpauth://totp/Hesper:ben" in told
    with reading(head_end.databases.authority) as session:
        assert len(session.get_one(SecondFactor, "ben").recovery) == 10
    with pytest.raises(ProvisioningError, match="no account"):
        run("user", "factor", "nobody")
    assert "no second factor any more" in run("user", "factor", "ben", "--remove")
    with reading(head_end.databases.authority) as session:
        assert session.get(SecondFactor, "ben") is None


def test_a_code_that_does_not_fit_changes_nothing(head_end, run):
    with pytest.raises(ProvisioningError, match="does not fit"):
        run("user", "factor", "ben", given="12\n")
    with reading(head_end.databases.authority) as session:
        assert session.get(SecondFactor, "ben") is None
