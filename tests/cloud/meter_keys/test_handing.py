"""Keys of meters on their way through enrolment: one place keeps them, the new device gets them."""

import json
from datetime import UTC, datetime

import pytest
from hesper_cloud import keys
from hesper_cloud.db.engines import writing
from hesper_cloud.meter_keys import handing
from hesper_cloud.meter_keys.custody import Custody, NoKeys, Origin
from hesper_cloud.meter_keys.key_set import KeySet
from hesper_contracts.enrolment import Configuration, File

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ORIGIN = Origin("operator:test", "a test", NOW)
KEY, MASTER = "a1" * 16, "c3" * 16
TOML = b"""
gateway = "gw-1"
[[meters]]
id = "M1"
keys_file = "keys/M1.json"
[[meters]]
id = "M2"
keys_file = "keys/both.json"
[[meters]]
id = "M3"
keys_file = "keys/both.json"
[[meters]]
id = "M4"
"""
SHARED = b'{"password": "12345678"}'


def configuration(octets: bytes) -> Configuration:
    return Configuration(
        (
            File("gateway.toml", TOML),
            File("keys/M1.json", octets),
            File("keys/both.json", SHARED),
        )
    )


ONE = json.dumps({"encryption_key": KEY, "master_key": MASTER, "password": "1234"}).encode()


@pytest.fixture
def desk(head_end):
    custody = Custody(keys.vault(head_end.settings.keys))
    with writing(head_end.databases.authority) as session:
        yield custody, session


def test_what_is_kept_of_a_configuration_holds_no_keys_and_a_device_is_given_them(desk):
    custody, session = desk
    kept = handing.take_out(session, custody, configuration(ONE), ORIGIN)
    assert [file.octets for file in kept.files] == [TOML, b"{}\n", SHARED]
    assert custody.current(session, "M1").password == "1234"
    given = handing.put_in(session, custody, kept)
    assert json.loads(given.files[1].octets) == json.loads(ONE)
    assert given.files[2].octets == SHARED


def test_a_configuration_that_was_kept_before_keys_were_is_given_as_it_is(desk):
    custody, session = desk
    assert handing.put_in(session, custody, configuration(ONE)) == configuration(ONE)


def test_both_sets_are_given_while_a_change_is_open_and_the_new_one_after_it(desk):
    custody, session = desk
    kept = handing.take_out(session, custody, configuration(ONE), ORIGIN)
    new = custody.begin(session, "c-1", "M1", ["encryption_key"], ORIGIN)
    told = json.loads(handing.put_in(session, custody, kept).files[1].octets)
    pending = {"command": "c-1", "encryption_key": new.encryption_key.hex(), "master_key": MASTER}
    assert (told["encryption_key"], told["pending"]) == (KEY, pending)
    custody.settle(session, "c-1", True, ORIGIN)
    told = json.loads(handing.put_in(session, custody, kept).files[1].octets)
    assert told == json.loads(ONE) | {"encryption_key": new.encryption_key.hex()}


def test_an_empty_keys_file_stands_for_what_is_in_custody_and_an_old_one_is_refused(desk):
    custody, session = desk
    handing.take_out(session, custody, configuration(ONE), ORIGIN)
    custody.begin(session, "c-1", "M1", ["encryption_key"], ORIGIN)
    custody.settle(session, "c-1", True, ORIGIN)
    with pytest.raises(NoKeys, match="changed by command since"):
        handing.take_out(session, custody, configuration(ONE), ORIGIN)
    kept = handing.take_out(session, custody, configuration(b"{}"), ORIGIN)
    assert kept.files[1].octets == b"{}\n"


def test_a_person_may_correct_keys_that_no_command_has_brought(desk):
    custody, session = desk
    handing.take_out(session, custody, configuration(ONE), ORIGIN)
    handing.take_out(session, custody, configuration(b'{"password": "4321"}'), ORIGIN)
    assert custody.current(session, "M1") == KeySet(password="4321")


@pytest.mark.parametrize(
    "octets", [b"no JSON a1a1", b'{"encryption_key": "a1a1"}', b'{"other": "a1a1"}', b"[1]"]
)
def test_what_is_no_keys_file_is_refused_without_a_key_in_the_text(desk, octets):
    custody, session = desk
    with pytest.raises(NoKeys) as refused:
        handing.take_out(session, custody, configuration(octets), ORIGIN)
    assert "keys/M1.json" in str(refused.value)
    assert "a1a1" not in str(refused.value)
