"""gateway.toml and the keys files beside it."""

from pathlib import Path

import pytest
from hesper_gateway import meter_keys
from hesper_gateway.config import (
    BrokerConfig,
    GatewayConfig,
    MeterConfig,
    ScheduleConfig,
    TcpLine,
    load,
)
from hesper_gateway.errors import ConfigError
from pydantic import ValidationError

KEY = "00112233445566778899aabbccddeeff"


def keys_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys.json"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_are_read_and_never_shown(tmp_path):
    text = f'{{"encryption_key": "{KEY}", "authentication_key": null, "password": "secret"}}'
    keys = meter_keys.load(keys_file(tmp_path, text))
    assert keys.encryption_key == bytes.fromhex(KEY)
    assert keys.authentication_key is None
    assert keys.password == b"secret"
    assert "11" not in repr(keys)
    assert "secret" not in repr(keys)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (f'{{"encryption_key": "{KEY}"}}', 0o644, "chmod 600"),
        ('{"encryption_key": "0011"}', 0o600, "encryption_key must be 16 or 32 octets"),
        ('{"encryption_key": "zz"}', 0o600, "encryption_key must be 16 or 32 octets"),
        ('{"mater_key": null}', 0o600, "unknown key 'mater_key'"),
        ('{"password": 5}', 0o600, "password must be text"),
        ("[]", 0o600, "expected one JSON object"),
        ('{"mater_key": null}', 0o600, "there are: authentication_key, encryption_key, master_key"),
        (f'{{"encryption_key": "{KEY}",\n', 0o600, "not JSON: "),
        (f'{{"encryption_key": "{KEY}",\n', 0o600, "(line 2, column 1)"),
    ],
)
def test_a_keys_file_that_does_not_fit_is_refused(tmp_path, text, mode, says):
    with pytest.raises(ConfigError) as failure:
        meter_keys.load(keys_file(tmp_path, text, mode))
    assert says in str(failure.value)
    assert KEY not in str(failure.value)


def test_a_mark_at_the_beginning_is_no_mistake_as_for_hesper_dlms(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(b'\xef\xbb\xbf{"password": "secret"}')
    path.chmod(0o600)
    assert meter_keys.load(path).password == b"secret"


def test_octets_that_are_no_text_are_no_json(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(b"\xff\xfe{")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        meter_keys.load(path)


def test_an_absent_keys_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json: No such file"):
        meter_keys.load(tmp_path / "none.json")
    assert meter_keys.load(None).encryption_key is None


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (MeterConfig, {"id": "with space", "line": "a", "template": "t"}),
        (MeterConfig, {"id": "A/1", "line": "a", "template": "t"}),
        (MeterConfig, {"id": "A" * 33, "line": "a", "template": "t"}),
        (MeterConfig, {"id": "A", "line": "a", "template": "t", "system_title": "48"}),
        (TcpLine, {"name": "a", "kind": "tcp", "host": "h", "port": 70000}),
        (TcpLine, {"name": "a", "kind": "tcp", "host": "10.0.0..5", "port": 4059}),
        (BrokerConfig, {"host": f"{'long' * 16}.example"}),
        (ScheduleConfig, {"snapshot_s": 0}),
        (ScheduleConfig, {"sometimes_s": 5}),
    ],
)
def test_values_that_cannot_be_are_refused(model, fields):
    with pytest.raises(ValidationError):
        model(**fields)


@pytest.mark.parametrize("command", ['AT+CPIN="4711"', "AT+CMEE=1;+cpin = 4711"])
def test_a_pin_among_a_modems_commands_is_refused_and_not_repeated(tmp_path, command):
    path = tmp_path / "gateway.toml"
    path.write_text(
        f"[[modems]]\nname = 'm'\npath = '/dev/ttyS0'\ncommands = ['AT&F', '{command}']\n"
    )
    with pytest.raises(
        ConfigError, match=r"\[\[modems\]\] m: commands\.1: a PIN comes in pin_file"
    ) as found:
        load(path)
    assert "4711" not in str(found.value)


def test_paths_nobody_wrote_lie_beside_the_file_too(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text('gateway = "g"\n[broker]\nhost = "localhost"\n')
    settings = load(path)
    assert settings.state == tmp_path / "state"
    assert settings.keys.signing == tmp_path / "gateway.key"


def two_meters(first_line: str, second_line: str) -> GatewayConfig:
    name = {"template": "t", "logical_device_name": "HSP0112642984000"}
    return GatewayConfig.model_validate(
        {
            "gateway": "g",
            "broker": {"host": "h"},
            "lines": [
                {"name": "lan", "kind": "tcp", "host": "h", "port": 4059},
                {"name": "other", "kind": "tcp", "host": "h", "port": 4060},
                {"name": "in", "kind": "dial-in", "port": 4061},
                {"name": "push", "kind": "push-tcp", "port": 4062},
            ],
            "meters": [
                {"id": "M1", "line": first_line} | name,
                {"id": "M2", "line": second_line} | name,
            ],
        }
    )


@pytest.mark.parametrize("other", ["lan", "other", "in"])
def test_one_meter_that_is_read_is_not_configured_as_two(other):
    """Its readings would be stored twice, and a command for the one would cut the other's home."""
    with pytest.raises(ValidationError, match=r"meters M1 and M2 .*'HSP0112642984000'"):
        two_meters("lan", other)


def test_a_meter_that_is_read_may_push_beside_that():
    assert len(two_meters("lan", "push").meters) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('[[lines]]\nname = "wan"\nkind = "tcp"\nhost = "h"', "[[lines]] wan: port: is missing"),
        ('[[lines]]\nname = "wan"', "[[lines]] wan: kind is missing"),
        ('[[lines]]\nname = "wan"\nkind = "tpc"', "[[lines]] wan: kind 'tpc' is none of 'tcp', 's"),
        ("[[lines]]\nport = 4059", "[[lines]] number 2: kind is missing"),
        (
            '[[meters]]\nid = "M1"\nline = "lan"\ntemplate = "t"\nkeyfile = "k.json"',
            "[[meters]] M1: keyfile: there is no such setting",
        ),
        ('[[meters]]\nline = "lan"\ntemplate = "t"', "[[meters]] number 1: id: is missing"),
        ('[brokr]\nhost = "h"', "gateway.toml: brokr: there is no such setting"),
        ("[schedule]\nsnapshot_s = 0", "schedule.snapshot_s: Input should be greater than 0"),
    ],
)
def test_a_mistake_is_told_by_the_name_that_stands_in_the_file(tmp_path, wrong, said):
    path = tmp_path / "gateway.toml"
    lan = '[[lines]]\nname = "lan"\nkind = "tcp"\nhost = "h"\nport = 4059\n'
    path.write_text(f'gateway = "g"\n[broker]\nhost = "h"\n{lan}{wrong}\n')
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert said in str(refused.value)


def test_tables_that_are_none_are_told_too(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text('gateway = "g"\nlines = 7\nmeters = [8]\n[broker]\nhost = "h"\n')
    with pytest.raises(ConfigError, match=r"lines: .*\n.*\[\[meters\]\] number 1: "):
        load(path)
