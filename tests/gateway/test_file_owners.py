"""Where access to a file is refused, a person is told whose it is."""

import os
from pathlib import Path
from typing import NoReturn

import pytest
from hesper_contracts.signing import Signer
from hesper_gateway import cli, secrets_files
from hesper_gateway.errors import ConfigError
from hesper_gateway.file_owners import why


def refuse(path: Path, *_: object) -> NoReturn:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.fixture
def another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    asks = os.geteuid() + 77_000
    monkeypatch.setattr(os, "geteuid", lambda: asks)


@pytest.mark.usefixtures("another_account")
def test_the_owner_of_what_can_be_seen_is_named(tmp_path: Path) -> None:
    error = PermissionError(13, "Permission denied", str(tmp_path / "state" / "gateway.db"))
    told = why(error)
    assert told.startswith(f"Permission denied: {tmp_path} belongs to ")
    assert f"this runs as account {os.geteuid()}" in told
    assert "sudo -u hesper" in told


def test_nobody_is_blamed_where_it_is_ones_own(tmp_path: Path) -> None:
    assert why(PermissionError(13, "Permission denied", str(tmp_path))) == "Permission denied"
    assert why(OSError(28, "No space left on device")) == "No space left on device"


@pytest.mark.usefixtures("another_account")
@pytest.mark.parametrize("command", ["run", "status", "witness"])
def test_a_file_of_another_account_is_no_traceback(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "gateway.toml"
    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr("sys.argv", ["hesper-gateway", command, "-c", str(file)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert f"{file}: Permission denied: {tmp_path} belongs to " in capsys.readouterr().err


@pytest.mark.usefixtures("another_account")
def test_a_key_of_another_account_is_told_as_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by `sudo hesper-gateway keygen`, it is root's and the agent cannot read it."""
    path = tmp_path / "gateway.key"
    Signer.generate().save(path)
    monkeypatch.setattr(Signer, "load", refuse)
    with pytest.raises(ConfigError, match=r"gateway\.key belongs to "):
        secrets_files.load_signer(path)
