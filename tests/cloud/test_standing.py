"""An admin makes accounts; they are nobody's second person before others could notice."""

import json
import uuid
from datetime import timedelta

import pyotp
import pytest
from alembic import command
from hesper_cloud import provision
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.authority.outsiders import WHO, Outsiders
from hesper_cloud.authority.policy import POLICIES, Policy
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter, Request
from hesper_cloud.web_settings import OidcSettings
from sqlalchemy import inspect, select, update

CLEO, GIVEN = "keeper-of-the-house", "given-by-the-admin-1"
TOO_LATELY = "was made or changed too lately to decide with others"
PROVIDER = OidcSettings(
    issuer="https://id.example",
    client_id="hesper",
    redirect_url="https://hes.example/login/oidc/callback",
    roles={"a": "viewer", "b": "operator"},
)
DAY_S = timedelta(days=1).total_seconds()
METER = "HES12642984"


def by_admin(head_end, kind, account, change=None, who="cleo", password=CLEO, **sealed):
    """What somebody changes of an account over the network, proved by their password."""
    payload, key = {"account": account, "change": change or {}}, uuid.uuid4().hex
    text = json.dumps({"password": password, "code": "", "new": ""} | sealed)
    row = Request(
        kind=kind,
        requested_by=who,
        payload=payload,
        sealed=head_end.sealer.seal(text, seal_context(kind, who, key, sealed_subject(payload))),
        idempotency_key=key,
        created_at=head_end.clock.now,
    )
    with writing(head_end.databases.registry) as session:
        session.add(row)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        settled = session.get_one(Request, row.id)
    assert settled.state == "done", settled.outcome


def made(head_end):
    by_admin(head_end, "user.create", "eve", {"role": "approver"}, new=GIVEN)
    return "eve", GIVEN


def raised(head_end):
    by_admin(head_end, "user.change", "ann", {"role": "approver"})
    return "ann", "asking-politely-1"


def widened(head_end):
    by_admin(head_end, "user.change", "ben", {"areas": None})
    return "ben", "second-pair-of-eyes"


def given_a_password(head_end):
    by_admin(head_end, "user.password", "ben", new=GIVEN)
    return "ben", GIVEN


def given_one_and_changed_it(head_end):
    given_a_password(head_end)
    another = "and-then-my-own-1"
    by_admin(head_end, "password.change", "ben", who="ben", password=GIVEN, new=another)
    return "ben", another


def without_factor(head_end):
    enrolled = {
        "password": "second-pair-of-eyes",
        "code": "",
        "secret": (secret := pyotp.random_base32()),
        "first": pyotp.TOTP(secret).at(head_end.clock.now),
        "recovery": "",
    }
    head_end.ask("ben", "factor.enrol", account="ben", password=json.dumps(enrolled))
    by_admin(head_end, "user.factor.drop", "ben")
    return "ben", "second-pair-of-eyes"


def refusal(row):
    assert row.state == "refused", row.outcome
    return row.outcome["reason"]


@pytest.mark.parametrize(
    "how", [made, raised, widened, given_a_password, given_one_and_changed_it, without_factor]
)
def test_an_account_that_an_admin_gave_approves_nothing_for_a_day(head_end, how):
    who, password = how(head_end)
    wish = head_end.ask_disconnect(who="cleo").outcome["command"]
    assert TOO_LATELY in refusal(head_end.approve(wish, who, password))
    head_end.clock.advance(DAY_S - 60)
    head_end.relay_read(True)
    head_end.authority.turn()
    wish = head_end.ask_disconnect(who="cleo").outcome["command"]
    assert TOO_LATELY in refusal(head_end.approve(wish, who, password))
    head_end.clock.advance(61)
    assert head_end.approve(wish, who, password).state == "done"


def test_an_admin_cannot_be_the_second_to_an_account_they_made(head_end):
    """The other way about: a made-up operator asks and the admin approves."""
    by_admin(head_end, "user.create", "eve", {"role": "operator"}, new=GIVEN)
    assert TOO_LATELY in refusal(head_end.ask_disconnect(who="eve"))
    terms = {"canary": 0, "wave_size": 1, "per_hour": 60, "stop_percent": 20}
    batch = {"kind": "relay.disconnect", "meters": [METER], "reason": "unpaid", **terms}
    assert TOO_LATELY in refusal(head_end.ask("eve", "batch.propose", **batch))
    glass = {"kind": "relay.disconnect", "meter": METER, "reason": "fire", "parameters": {}}
    glass |= {"serial_tail": METER[-4:], "password": GIVEN}
    assert TOO_LATELY in refusal(head_end.ask("eve", "command.break_glass", **glass))
    head_end.relay_read(False)
    assert head_end.ask_reconnect(who="eve").state == "done"
    assert head_end.outbox.sent


def test_nor_a_batch_the_kill_switch_or_a_review(head_end):
    who, password = made(head_end)
    terms = {"canary": 0, "wave_size": 1, "per_hour": 60, "stop_percent": 20}
    wish = {"kind": "relay.disconnect", "meters": [METER], "reason": "unpaid", **terms}
    batch = head_end.ask("cleo", "batch.propose", **wish).outcome
    approval = {"batch": batch["batch"], "digest": batch["digest"], "password": password}
    assert TOO_LATELY in refusal(head_end.ask(who, "batch.approve", **approval))
    head_end.ask("ann", "kill_switch.engage", reason="a trial")
    lift = {"reason": "lift it", "password": password}
    assert TOO_LATELY in refusal(head_end.ask(who, "kill_switch.lift", **lift))


def test_nor_to_a_service_whose_token_they_made_or_an_account_they_tied_to_a_log_in(head_end):
    """Neither needs a password to ask: a token or a log-in elsewhere speaks for them."""
    service = {"role": "service", "scopes": ["read", "request commands"]}
    by_admin(head_end, "user.create", "billing", service)
    head_end.clock.advance(DAY_S)
    head_end.relay_read(True)
    wish = head_end.ask_disconnect(who="billing")
    assert head_end.ask("ann", "command.cancel", command=wish.outcome["command"]).state == "refused"
    assert head_end.ask("cleo", "command.cancel", command=wish.outcome["command"]).state == "done"
    token = {"name": "night", "scopes": ["request commands"], "days": 1, "digest": "ab" * 32}
    made = head_end.ask("cleo", "token.create", account="billing", change=token, password=CLEO)
    assert made.state == "done", made.outcome
    assert TOO_LATELY in refusal(head_end.ask_disconnect(who="billing"))
    by_admin(head_end, "user.change", "ann", {"email": "cleo@utility.example"})
    head_end.authority.admit(Outsiders(PROVIDER.model_copy(update={"link_by_email": True})))
    change = {"external_id": "https://id.example cleo", "role": "operator"}
    change["email"] = "cleo@utility.example"
    tied = head_end.ask(WHO, "account.external", account="cleo2", change=change)
    assert tied.outcome == {"account": "ann"}
    assert TOO_LATELY in refusal(head_end.ask_disconnect(who="ann"))


def test_a_log_in_of_the_providers_is_given_too(head_end):
    head_end.authority.admit(Outsiders(PROVIDER))
    change = {"external_id": "https://id.example nora", "role": "operator", "email": None}
    head_end.ask(WHO, "account.external", account="nora", change=change)
    assert TOO_LATELY in refusal(head_end.ask_disconnect(who="nora"))
    head_end.clock.advance(DAY_S)
    head_end.relay_read(True)
    assert head_end.ask_disconnect(who="nora").state == "done"


def test_what_is_set_on_the_machine_counts_at_once(head_end):
    made(head_end)
    wish = head_end.ask_disconnect().outcome["command"]
    provision.add_user(head_end.databases.authority, "eve", "approver", GIVEN)
    assert head_end.approve(wish, "eve", GIVEN).state == "done"
    assert (POLICIES["default"].approver_age_s, POLICIES["demo"].approver_age_s) == (86_400, 0)


def test_a_house_may_do_without_the_wait(head_end):
    document = Policy(approver_age_s=0).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "small house", document)
    who, password = made(head_end)
    wish = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(wish, who, password).state == "done"


def test_the_column_comes_and_goes_and_going_back_lets_nobody_in(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    migrate.upgrade(engine, "authority")
    with writing(engine) as session:
        now = provision._now()
        common = {"role": "approver", "password_hash": "", "created_at": now}
        session.add_all(
            [
                User(username="eve", given_at=now, **common),
                User(username="old", given_at=now - timedelta(days=2), **common),
                User(username="ben", **common),
            ]
        )
    with engine.begin() as connection:
        command.downgrade(migrate.history("authority", connection), "0008")
    assert "given_at" not in {each["name"] for each in inspect(engine).get_columns("users")}
    migrate.upgrade(engine, "authority")
    with reading(engine) as session:
        rows = dict(session.execute(select(User.username, User.disabled)).all())
    assert rows == {"ben": False, "eve": True, "old": False}
    engine.dispose()


def in_area(head_end, who, area):
    with writing(head_end.databases.authority) as session:
        session.execute(update(User).where(User.username == who).values(areas=[area]))


def test_the_authority_itself_keeps_batches_within_the_areas_of_both(head_end):
    """Whoever has taken over the web process asks without its checks."""
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, METER).area = "north"
    terms = {"canary": 0, "wave_size": 1, "per_hour": 60, "stop_percent": 20}
    wish = {"kind": "relay.read", "reason": "a look", **terms}
    in_area(head_end, "ann", "south")
    told = refusal(head_end.ask("ann", "batch.propose", meters=[METER], **wish))
    assert told == f"there is no meter '{METER}'"
    in_area(head_end, "ann", "north")
    told = refusal(head_end.ask("ann", "batch.propose", meters=[METER, "HES12642985"], **wish))
    assert told == "there is no meter 'HES12642985'"
    batch = head_end.ask("ann", "batch.propose", meters=[METER], **wish).outcome
    in_area(head_end, "ben", "south")
    approval = {"batch": batch["batch"], "digest": batch["digest"]}
    approval["password"] = "second-pair-of-eyes"
    told = refusal(head_end.ask("ben", "batch.approve", **approval))
    assert told == f"there is no meter '{METER}'"
    in_area(head_end, "ben", "north")
    assert head_end.ask("ben", "batch.approve", **approval).state == "done"
