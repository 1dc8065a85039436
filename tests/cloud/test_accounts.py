"""Passwords, roles, tokens, back-off, sessions and sealed boxes."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import jwt
import pytest
from hesper_cloud import keys, provision
from hesper_cloud.accounts import backoff, passwords
from hesper_cloud.accounts.callers import caller
from hesper_cloud.accounts.roles import LADDER, Actor, Permission, Role, granted
from hesper_cloud.accounts.tokens import Claim, MachineTokens, TokenRefused
from hesper_cloud.cleaning import CleanUp
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.latest import LatestValues
from hesper_cloud.sealing import Opener, SealBroken, Sealer
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.errors import LoginRefused, NotAuthenticated, Refused, Unavailable
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ANN = "asking-politely-1"


@pytest.fixture
def services(head_end) -> Iterator[Services]:
    store = DuckDbStore(head_end.settings.readings_file)
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(head_end.settings, registry, read_only, store, LatestValues(), head_end.clock)
    yield assemble(sources, lambda: 0.0)
    store.close()
    read_only.dispose()


def test_roles_grow():
    allowed = [
        {permission for permission in Permission if Actor("x", role).may(permission)}
        for role in LADDER
    ]
    assert allowed[0] == {Permission.READ}
    assert all(weaker < stronger for weaker, stronger in pairwise(allowed))
    assert allowed[-1] == set(Permission)


def test_an_auditor_reads_and_changes_nothing():
    reading = {Permission.READ, Permission.READ_AUDIT, Permission.READ_ACCOUNTS}
    assert granted(Role.AUDITOR) == reading


def test_a_machine_decides_nothing_and_its_token_bounds_it():
    assert not granted(Role.SERVICE) & {
        Permission.APPROVE_COMMAND,
        Permission.EDIT_READINGS,
        Permission.ADMINISTER,
        Permission.READ_ACCOUNTS,
    }
    of_scope = Actor("feeder", Role.SERVICE, scopes=frozenset({Permission.BRING_READINGS}))
    assert of_scope.may(Permission.BRING_READINGS)
    assert not of_scope.may(Permission.READ)
    too_much = Actor("feeder", Role.SERVICE, scopes=frozenset({Permission.ADMINISTER}))
    assert not too_much.may(Permission.ADMINISTER)


def test_an_actor_of_areas_sees_them_and_nothing_that_is_nowhere():
    actor = Actor("nora", Role.OPERATOR, areas=("north",))
    assert [actor.sees(area) for area in ("north", "south", None)] == [True, False, False]
    assert Actor("ann", Role.OPERATOR).sees(None)


def test_a_password_is_as_dear_to_try_as_argon2_recommends(usual_passwords):
    assert usual_passwords().hash("correct horse").startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_passwords():
    hashed = passwords.hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert passwords.verify_password("correct horse", hashed)
    assert not passwords.verify_password("correct house", hashed)
    assert not passwords.verify_password("correct horse", None)
    with pytest.raises(ValueError, match="at least"):
        passwords.hash_password("short")
    first = passwords.generate_password()
    assert (len(first), first == passwords.generate_password()) == (19, False)


def test_signed_tokens_are_checked_strictly():
    machine = MachineTokens(b"s" * 32, timedelta(minutes=10))
    token = machine.issue(Claim("ann", 3), NOW)
    assert machine.check(token, NOW + timedelta(minutes=9)) == Claim("ann", 3)
    body = {"iss": "hesper", "sub": "ann", "ver": 3, "iat": 0, "exp": 9_999_999_999}
    wrong = {
        "expired": (token, NOW + timedelta(minutes=10)),
        "another secret": (jwt.encode(body, b"t" * 32, "HS256"), NOW),
        "no algorithm": (jwt.encode(body, None, "none"), NOW),
        "another issuer": (jwt.encode(body | {"iss": "x"}, b"s" * 32, "HS256"), NOW),
        "no version": (jwt.encode({**body, "ver": None}, b"s" * 32, "HS256"), NOW),
        "garbage": ("a.b.c", NOW),
    }
    accepted: dict[str, Claim] = {}
    for name, (bad, at) in wrong.items():
        with pytest.raises(TokenRefused):
            accepted[name] = machine.check(bad, at)
    assert accepted == {}


def test_a_sealed_box_opens_for_its_key_and_context_alone(tmp_path):
    keys.create(tmp_path)
    keys.create(tmp_path)
    assert (tmp_path / "requests.key").stat().st_mode & 0o777 == 0o600
    opener, sealer = keys.request_opener(tmp_path), keys.request_sealer(tmp_path)
    box = sealer.seal("pässword", "approve 1")
    assert opener.open(box, "approve 1") == "pässword"
    keys.create(tmp_path / "other")
    stranger: Opener = keys.request_opener(tmp_path / "other")
    for key, octets, context in (
        (opener, box, "approve 2"),
        (opener, box[:-1], "approve 1"),
        (opener, bytes(80), "approve 1"),
        (opener, b"", "approve 1"),
        (stranger, box, "approve 1"),
    ):
        with pytest.raises(SealBroken):
            key.open(octets, context)
    assert isinstance(sealer, Sealer)


def test_back_off_doubles_and_fades(head_end):
    subject = backoff.Subject("account x from y", 4)
    with writing(head_end.databases.registry) as session:
        waits = []
        for _ in range(8):
            backoff.count_failure(session, [subject], NOW)
            session.flush()
            waits.append(backoff.wait_s(session, [subject], NOW))
        assert waits == [0, 0, 0, 1, 2, 4, 8, 16]
        later = NOW + timedelta(minutes=16)
        assert backoff.wait_s(session, [subject], later) == 0
        backoff.count_failure(session, [subject], later)
        session.flush()
        assert backoff.wait_s(session, [subject], later) == 0


def test_failures_of_a_clock_that_was_set_back_lock_nobody_out(head_end):
    subject = backoff.Subject("account x from y", 4)
    with writing(head_end.databases.registry) as session:
        for _ in range(10):
            backoff.count_failure(session, [subject], NOW + timedelta(days=1461))
        session.flush()
        assert backoff.wait_s(session, [subject], NOW) == 0
        for _ in range(5):
            backoff.count_failure(session, [subject], NOW)
            session.flush()
        assert backoff.wait_s(session, [subject], NOW) == 2, "what is tried from now on counts"
        assert 0 < backoff.wait_s(session, [subject], NOW - timedelta(seconds=1)) <= 3


async def test_login_session_and_logout(services):
    session = await services.accounts.login(" ann ", ANN, "192.0.2.1")
    assert session.actor == Actor("ann", Role.OPERATOR)
    assert session.token not in repr(session)
    assert session.signed not in repr(session)
    for token in (session.token, session.signed):
        assert await services.accounts.actor_of(token) == session.actor
    await services.accounts.logout(session.token)
    with pytest.raises(NotAuthenticated):
        await services.accounts.actor_of(session.token)


async def test_sessions_end_with_their_hour(services, clock, monkeypatch):
    monkeypatch.setattr("hesper_cloud.services.accounts._RECHECK_S", 0.0)
    session = await services.accounts.login("ann", ANN, "192.0.2.1")
    clock.advance(12 * 3600)
    for token in (session.token, session.signed, "nonsense", "a.b.c"):
        with pytest.raises(NotAuthenticated):
            await services.accounts.actor_of(token)


async def test_a_session_of_a_clock_that_was_ahead_has_ended_once_the_clock_is_right(
    services, head_end, clock, monkeypatch
):
    monkeypatch.setattr("hesper_cloud.services.accounts._RECHECK_S", 0.0)
    clock.advance(365 * 86_400)
    ahead = await services.accounts.login("ann", ANN, "192.0.2.1")
    clock.now = NOW
    for token in (ahead.token, ahead.signed):
        with pytest.raises(NotAuthenticated):
            await services.accounts.actor_of(token)
    assert await services.sessions.list(Actor("ann", Role.OPERATOR)) == []
    CleanUp(head_end.databases.registry, head_end.settings, clock).turn()
    clock.advance(365 * 86_400 + 60)
    with pytest.raises(NotAuthenticated):
        await services.accounts.actor_of(ahead.token)


async def test_a_clock_that_steps_back_a_little_ends_no_session(services, clock, monkeypatch):
    monkeypatch.setattr("hesper_cloud.services.accounts._RECHECK_S", 0.0)
    session = await services.accounts.login("ann", ANN, "192.0.2.1")
    clock.advance(-60)
    for token in (session.token, session.signed):
        assert await services.accounts.actor_of(token) == session.actor


async def test_disabling_or_changing_an_account_ends_its_tokens(services, head_end, monkeypatch):
    monkeypatch.setattr("hesper_cloud.services.accounts._RECHECK_S", 0.0)
    session = await services.accounts.login("ann", ANN, "192.0.2.1")
    provision.add_user(head_end.databases.authority, "ann", "operator", "another-password-1")
    for token in (session.token, session.signed):
        with pytest.raises(NotAuthenticated):
            await services.accounts.actor_of(token)
    session = await services.accounts.login("ann", "another-password-1", "192.0.2.1")
    provision.disable_user(head_end.databases.authority, "ann")
    with pytest.raises(NotAuthenticated):
        await services.accounts.actor_of(session.token)
    with pytest.raises(LoginRefused):
        await services.accounts.login("ann", "another-password-1", "192.0.2.1")


async def guess(services: Services, name: str, source: str, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(LoginRefused):
            await services.accounts.login(name, "not-it-at-all", source)


async def test_wrong_passwords_slow_down_their_own_address(services, clock):
    await guess(services, "ann", "192.0.2.1", 4)
    with pytest.raises(LoginRefused, match="too many") as refused:
        await services.accounts.login("ann", ANN, "192.0.2.1")
    assert refused.value.retry_after_s > 0
    assert (await services.accounts.login("ann", ANN, "192.0.2.9")).actor.username == "ann"
    clock.advance(2)
    assert (await services.accounts.login("ann", ANN, "192.0.2.1")).actor.username == "ann"


async def test_an_address_that_tries_many_accounts_waits_for_all(services):
    for number in range(20):
        await guess(services, f"user{number}", "192.0.2.1")
    with pytest.raises(LoginRefused, match="too many"):
        await services.accounts.login("ann", ANN, "192.0.2.1")


async def test_guesses_from_everywhere_slow_down_but_not_where_the_person_already_is(services):
    await services.accounts.login("ann", ANN, "192.0.2.1")
    for number in range(20):
        await guess(services, "ann", f"198.51.100.{number}")
    with pytest.raises(LoginRefused, match="too many"):
        await services.accounts.login("ann", ANN, "203.0.113.7")
    assert (await services.accounts.login("ann", ANN, "192.0.2.1")).actor.username == "ann"


async def test_no_name_that_a_stranger_types_slows_somebody_else_down(services, clock):
    stranger, at_home = "203.0.113.9", "10.1.1.1"
    for _ in range(8):
        clock.advance(20)
        with pytest.raises(LoginRefused, match="wrong"):
            await services.accounts.login(f"ann from {at_home}", "a guess", stranger)
    assert (await services.accounts.login("ann", ANN, at_home)).actor.username == "ann"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_line_is_one_caller_whichever_of_its_addresses_it_takes(address: str, counted: str):
    assert caller(address) == counted


async def test_another_address_of_the_same_line_is_no_new_guesser(services):
    for number in range(20):
        with pytest.raises(LoginRefused, match="wrong"):
            await services.accounts.login(f"nobody-{number}", "a guess", f"2001:db8::{number:x}")
    with pytest.raises(LoginRefused, match="too many"):
        await services.accounts.login("ann", ANN, "2001:db8::beef")
    assert (await services.accounts.login("ann", ANN, "2001:db8:0:1::1")).actor.username == "ann"


async def test_guesses_at_the_same_moment_do_not_share_one_free_try(services):
    async def attempt() -> str:
        try:
            await services.accounts.login("ann", "not-it-at-all", "192.0.2.1")
        except LoginRefused as refused:
            return str(refused)
        raise AssertionError

    answers = await asyncio.gather(*(attempt() for _ in range(12)))
    assert sum("wrong" in each for each in answers) == 4


async def test_what_the_authority_did_not_answer_is_taken_back(services, head_end, monkeypatch):
    monkeypatch.setattr("hesper_cloud.services.authority_link.WAIT", timedelta(seconds=0.02))
    ask = (Actor("ann", Role.OPERATOR), "HES12642984", "reconnect", "paid", "", "key-1")
    with pytest.raises(Unavailable, match="taken back"):
        await services.commands.request_relay(*ask)
    head_end.authority.turn()
    assert head_end.commands() == []
    monkeypatch.undo()
    again = asyncio.create_task(services.commands.request_relay(*ask))
    while not again.done():
        await asyncio.to_thread(head_end.authority.turn)
    assert (await again).state in {"queued", "sent"}
    assert len(head_end.commands()) == 1


async def test_what_the_authority_refused_stays_refused_under_its_key(services, head_end, deciding):
    ask = (Actor("ann", Role.OPERATOR), "HES12642984", "reconnect", "paid", "")
    provision.disable_user(head_end.databases.authority, "ann")
    with pytest.raises(Refused, match="disabled"):
        await services.commands.request_relay(*ask, "key-1")
    provision.add_user(head_end.databases.authority, "ann", "operator", ANN)
    with pytest.raises(Refused, match="disabled"):
        await services.commands.request_relay(*ask, "key-1")
    assert head_end.commands() == []
    assert (await services.commands.request_relay(*ask, "key-2")).requester == "ann"


def test_no_error_of_the_database_tells_what_was_to_be_written(head_end):
    values = {"username": "ann", "role": "viewer", "password_hash": "$argon2id$secret"}
    with (
        pytest.raises(IntegrityError) as refused,
        writing(head_end.databases.authority) as session,
    ):
        session.execute(insert(User).values(**values, created_at=NOW))
    assert "secret" not in str(refused.value)


async def test_logins_are_audited(services, head_end):
    await services.accounts.login("ann", ANN, "192.0.2.1")
    with pytest.raises(LoginRefused):
        await services.accounts.login("eve", "guess-guess-guess", "192.0.2.6")
    head_end.authority.turn()
    page = await services.audit.page(Actor("cleo", Role.ADMIN), subject="192.0.2")
    assert [(row.actor, row.action) for row in page.rows] == [
        ("eve", "login.refused"),
        ("ann", "login"),
    ]
