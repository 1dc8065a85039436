"""Files that people wrote with an editor of Windows: a mark at the beginning, two octets a line."""

from codecs import BOM_UTF8
from pathlib import Path

import pytest
from hesper_gateway import templates
from hesper_gateway.config import load
from hesper_gateway.errors import ConfigError
from hesper_gateway.secrets_files import load_password
from hesper_gateway.support import secrets
from hesper_gateway.templates.checking import check
from hesper_gateway.update.launcher import folder_of

TOML = """\
gateway = "gw-1"
state = "elsewhere"
[broker]
host = "127.0.0.1"
password_file = "broker.password"
[[lines]]
name = "a"
kind = "tcp"
host = "127.0.0.1"
port = 4059
[[meters]]
id = "M1"
line = "a"
template = "own"
keys_file = "M1.json"
"""
KEY, PASSWORD = "5ec1" * 8, "correct-horse"


def written(path: Path, text: str) -> Path:
    path.write_bytes(BOM_UTF8 + text.replace("\n", "\r\n").encode())
    path.chmod(0o600)
    return path


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    written(tmp_path / "broker.password", f"{PASSWORD}\n")
    written(tmp_path / "M1.json", f'{{\n"encryption_key": "{KEY}"\n}}\n')
    return written(tmp_path / "gateway.toml", TOML)


def test_a_configuration_is_read_and_its_versions_are_found(toml: Path) -> None:
    config = load(toml)
    assert (config.gateway, config.state) == ("gw-1", toml.parent / "elsewhere")
    assert folder_of(toml).parent == config.state


def test_no_mark_is_part_of_a_password(toml: Path) -> None:
    assert load_password(toml.parent / "broker.password") == PASSWORD


def test_a_secret_is_known_to_who_leaves_it_out(toml: Path) -> None:
    """The agent reads such files, so what is in them may stand in its log."""
    assert secrets.collect(load(toml)) >= {KEY, PASSWORD}


def test_a_template_is_read_and_checked(tmp_path: Path) -> None:
    path = written(tmp_path / "own.toml", 'extends = "generic"\ndescription = "own"\n')
    assert check(path) == []
    assert templates.load_own(tmp_path, "own").description == "own"


def test_another_encoding_is_named_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(TOML.encode("utf-16"))
    with pytest.raises(ConfigError, match=r"gateway\.toml: the text is not UTF-8"):
        load(path)
