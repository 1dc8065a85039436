"""Accounts as the authority keeps them: who may change what, and by which proof."""

import hashlib
import json
import uuid
from datetime import timedelta

import pyotp
import pytest
from hesper_cloud import provision
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.db.authority import ApiToken, AuditRow, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Request
from hesper_cloud.provision import ProvisioningError
from sqlalchemy import select

CLEO, ANN = "keeper-of-the-house", "asking-politely-1"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def asked(head_end, who, kind, account, change=None, password="", **sealed):
    """A request as the web process writes it, with what the person proves sealed to it."""
    payload = {"account": account} | ({} if change is None else {"change": change})
    key = uuid.uuid4().hex
    text = json.dumps({"password": password, "code": "", "new": ""} | sealed)
    context = seal_context(kind, who, key, sealed_subject(payload))
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind=kind,
            requested_by=who,
            payload=payload,
            sealed=head_end.sealer.seal(text, context),
            idempotency_key=key,
            created_at=head_end.clock.now,
        )
        session.add(row)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        settled = session.get_one(Request, row.id)
    return settled.state, (settled.outcome or {}).get("reason")


def by_cleo(head_end, kind, account, change=None, **sealed):
    return asked(head_end, "cleo", kind, account, {} if change is None else change, CLEO, **sealed)


def user(head_end, username):
    with reading(head_end.databases.authority) as session:
        return session.get(User, username)


def actions(head_end):
    with reading(head_end.databases.authority) as session:
        return list(session.scalars(select(AuditRow.action).order_by(AuditRow.sequence)))


def test_an_admin_makes_an_account_by_password(head_end):
    change = {"role": "operator", "areas": ["north"], "email": "nora@utility.example"}
    made = by_cleo(head_end, "user.create", "nora", change, new="first-password-1")
    assert made == ("done", None)
    nora = user(head_end, "nora")
    assert (nora.role, nora.areas, nora.email) == ("operator", ["north"], "nora@utility.example")
    assert nora.password_hash.startswith("$argon2id$")
    assert "user.create" in actions(head_end)
    again = by_cleo(head_end, "user.create", "nora", change, new="first-password-1")
    assert again == ("refused", "there is an account nora already")


@pytest.mark.parametrize(
    ("who", "password", "words"),
    [
        ("cleo", "not-the-password", "the password does not fit"),
        ("ben", "second-pair-of-eyes", "the role approver may not administer"),
        ("otto", "reading-every-line", "the role auditor may not administer"),
        ("nobody", "whatever-it-is", "account 'nobody' does not exist or is disabled"),
    ],
)
def test_nobody_else_and_no_wrong_password_makes_one(head_end, who, password, words):
    change = {"role": "admin"}
    state = asked(head_end, who, "user.create", "eve", change, password, new="first-password-1")
    assert state == ("refused", words)
    assert user(head_end, "eve") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"role": "king"}, "there is no role 'king'"),
        ({"role": "admin", "areas": ["north"]}, "an admin keeps the whole house"),
        ({"role": "viewer", "areas": []}, "name 1 to 200 areas"),
        ({"role": "viewer", "scopes": ["read"]}, "a service has scopes, and nobody else has"),
        ({"role": "service"}, "a service has scopes, and nobody else has"),
        ({"role": "service", "scopes": ["administer"]}, "there is no scope"),
        ({"role": "viewer", "email": "no address"}, "is no e-mail address"),
        ({"role": "viewer", "token_version": 9}, "an account has no token_version"),
    ],
)
def test_terms_that_do_not_go_together_are_turned_down(head_end, change, words):
    state, why = by_cleo(head_end, "user.create", "eve", change, new="first-password-1")
    assert state == "refused"
    assert words in why


def test_a_proof_is_good_for_the_change_it_was_given_for(head_end):
    """Who takes a sealed password from the database cannot put another change under it."""
    payload = {"account": "vic", "change": {"email": "vic@utility.example"}}
    key = uuid.uuid4().hex
    text = json.dumps({"password": CLEO, "code": "", "new": ""})
    context = seal_context("user.change", "cleo", key, sealed_subject(payload))
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind="user.change",
            requested_by="cleo",
            payload={"account": "vic", "change": {"role": "admin"}},
            sealed=head_end.sealer.seal(text, context),
            idempotency_key=key,
            created_at=head_end.clock.now,
        )
        session.add(row)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Request, row.id).state == "refused"
    assert user(head_end, "vic").role == "viewer"


def test_nobody_raises_themselves_and_one_admin_is_always_left(head_end):
    own = "nobody changes their own role, areas or state; ask another admin"
    for change in ({"role": "viewer"}, {"disabled": True}, {"areas": ["north"]}):
        assert by_cleo(head_end, "user.change", "cleo", change) == ("refused", own)
    assert asked(head_end, "ann", "user.change", "ann", {"role": "admin"}, ANN) == (
        "refused",
        "the role operator may not administer",
    )
    with pytest.raises(ProvisioningError, match="the last admin"):
        provision.disable_user(head_end.databases.authority, "cleo")
    with pytest.raises(ProvisioningError, match="the last admin"):
        provision.add_user(head_end.databases.authority, "cleo", "viewer", "another-password-1")
    assert by_cleo(head_end, "user.change", "ben", {"role": "admin"}) == ("done", None)
    provision.disable_user(head_end.databases.authority, "cleo")
    assert user(head_end, "cleo").disabled


def test_a_change_of_role_ends_what_is_open_and_one_of_the_address_does_not(head_end):
    version = user(head_end, "vic").token_version
    by_cleo(head_end, "user.change", "vic", {"email": "vic@utility.example"})
    assert user(head_end, "vic").token_version == version
    for number, change in enumerate(
        ({"role": "operator"}, {"areas": ["north"]}, {"disabled": True}, {"disabled": False}), 1
    ):
        assert by_cleo(head_end, "user.change", "vic", change) == ("done", None)
        assert user(head_end, "vic").token_version == version + number
    assert (user(head_end, "vic").role, user(head_end, "vic").areas) == ("operator", ["north"])


def test_a_service_stays_a_service(head_end):
    scopes = {"role": "service", "scopes": ["bring readings"]}
    assert by_cleo(head_end, "user.create", "feeder", scopes) == ("done", None)
    assert user(head_end, "feeder").password_hash == ""
    state, why = by_cleo(head_end, "user.change", "feeder", {"role": "viewer", "scopes": None})
    assert (state, why) == (
        "refused",
        "a service stays a service, and a person a person; make another account",
    )
    assert by_cleo(head_end, "user.password", "feeder", new="first-password-1") == (
        "refused",
        "a service has tokens and no password",
    )


def test_passwords_are_changed_by_the_present_one_and_reset_by_an_admin(head_end):
    change = asked(head_end, "ann", "password.change", "ann", None, "wrong-one-1", new="x" * 12)
    assert change == ("refused", "the password does not fit")
    change = asked(head_end, "ann", "password.change", "ann", None, ANN, new="short")
    assert change == ("refused", "a password has at least 10 characters")
    version = user(head_end, "ann").token_version
    change = asked(head_end, "ann", "password.change", "ann", None, ANN, new="something-new-1")
    assert change == ("done", None)
    assert user(head_end, "ann").token_version == version + 1
    assert by_cleo(head_end, "user.password", "ann", new="first-password-1") == ("done", None)
    change = asked(
        head_end, "ann", "password.change", "ann", None, "first-password-1", new="y" * 12
    )
    assert change == ("done", None)


def test_an_admin_unlocks_who_typed_the_wrong_password_too_often(head_end):
    for _ in range(5):
        asked(head_end, "ann", "password.change", "ann", None, "wrong-one-1", new="x" * 12)
    locked = ("refused", "too many wrong passwords; wait a quarter of an hour")
    assert asked(head_end, "ann", "password.change", "ann", None, ANN, new="x" * 12) == locked
    head_end.clock.advance(1)
    assert by_cleo(head_end, "user.unlock", "ann") == ("done", None)
    head_end.clock.advance(1)
    assert asked(head_end, "ann", "password.change", "ann", None, ANN, new="x" * 12)[0] == "done"


def test_a_clock_that_was_set_back_neither_locks_a_person_out_nor_lets_one_guess(head_end):
    """Years ahead: ann typed five wrong passwords, ben was unlocked."""
    locked = ("refused", "too many wrong passwords; wait a quarter of an hour")
    ahead_s = timedelta(days=1461).total_seconds()
    head_end.clock.advance(ahead_s)
    for _ in range(5):
        asked(head_end, "ann", "password.change", "ann", None, "wrong-one-1", new="x" * 12)
    assert by_cleo(head_end, "user.unlock", "ben") == ("done", None)
    head_end.clock.advance(-ahead_s)
    assert asked(head_end, "ann", "password.change", "ann", None, ANN, new="x" * 12)[0] == "done"
    for _ in range(5):
        asked(head_end, "ben", "password.change", "ben", None, "wrong-one-1", new="x" * 12)
    assert asked(head_end, "ben", "password.change", "ben", None, "any-one-12", new="x") == locked


def a_token(days=90, scopes=("read",), secret="one"):
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return {"digest": digest, "name": "for MDM", "scopes": list(scopes), "days": days}


def token_asked(head_end, who, owner, change, password):
    payload = {"account": owner, "change": change}
    key = uuid.uuid4().hex
    context = seal_context("token.create", who, key, sealed_subject(payload))
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind="token.create",
            requested_by=who,
            payload=payload,
            sealed=head_end.sealer.seal(password, context),
            idempotency_key=key,
            created_at=head_end.clock.now,
        )
        session.add(row)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        settled = session.get_one(Request, row.id)
    return settled.state, (settled.outcome or {}).get("reason")


def test_tokens_are_made_within_ones_own_rights(head_end):
    assert token_asked(head_end, "ann", "ann", a_token(), ANN) == ("done", None)
    for change, words in (
        (a_token(scopes=["approve commands"]), "there is no scope 'approve commands' to give"),
        (a_token(scopes=["administer"]), "there is no scope 'administer' to give"),
        (a_token(scopes=[]), "name at least one scope"),
        (a_token(days=0), "a token is good for 1 to 366 days"),
        (a_token(days=367), "a token is good for 1 to 366 days"),
        (a_token() | {"digest": "short"}, "a token has a name"),
    ):
        state, why = token_asked(head_end, "ann", "ann", change, ANN)
        assert state == "refused"
        assert words in why
    state, why = token_asked(head_end, "ann", "ann", a_token(secret="two"), "wrong-one-1")
    assert (state, why) == ("refused", "the password does not fit")
    state, why = token_asked(head_end, "ann", "ben", a_token(secret="two"), ANN)
    assert (state, why) == ("refused", "the role operator may not administer")
    state, why = token_asked(head_end, "cleo", "ben", a_token(secret="two"), CLEO)
    assert why == "'ben' is no service: people make their own tokens"


def test_a_token_is_taken_away_by_its_owner_or_an_admin(head_end):
    token_asked(head_end, "ann", "ann", a_token(), ANN)
    with reading(head_end.databases.authority) as session:
        (token,) = session.scalars(select(ApiToken.id))
    assert head_end.ask("ben", "token.revoke", token=token).state == "refused"
    assert head_end.ask("ann", "token.revoke", token=token).state == "done"
    with reading(head_end.databases.authority) as session:
        assert session.get_one(ApiToken, token).revoked_by == "ann"
    assert actions(head_end).count("token.revoke") == 1


def test_a_reset_password_takes_the_tokens_too(head_end):
    token_asked(head_end, "ann", "ann", a_token(), ANN)
    by_cleo(head_end, "user.password", "ann", new="first-password-1")
    with reading(head_end.databases.authority) as session:
        (token,) = session.scalars(select(ApiToken))
    assert token.revoked_by == "cleo"


def test_a_factor_enrolled_a_minute_ago_breaks_no_glass(head_end):
    """Whoever has a password can enrol a factor; so a new one does not count in an emergency."""
    enrolled = {
        "password": ANN,
        "code": "",
        "secret": SECRET,
        "first": pyotp.TOTP(SECRET).at(head_end.clock.now),
        "recovery": "",
    }
    assert (
        head_end.ask("ann", "factor.enrol", account="ann", password=json.dumps(enrolled)).state
        == "done"
    )
    meter = "HES12642984"
    wish = {
        "kind": "relay.reconnect",
        "meter": meter,
        "reason": "an ambulance waits",
        "serial_tail": "",
        "parameters": {},
    }

    def broken():
        proof = {"password": ANN, "code": pyotp.TOTP(SECRET).at(head_end.clock.now)}
        head_end.relay_read(False)
        return head_end.ask("ann", "command.break_glass", password=json.dumps(proof), **wish)

    head_end.clock.advance(60)
    assert broken().outcome["reason"].startswith("the second factor is too new to break the glass")
    head_end.clock.advance(timedelta(days=1).total_seconds())
    assert broken().state == "done"
