"""What a newcomer types first: a cloud.toml with mistakes in it, and the first account."""

import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import command_line
import pytest
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.provision import ProvisioningError

PASSWORD = "kestrel over the moor"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text('state = "state"\n')
    return path


def test_every_mistake_in_the_file_is_told_with_its_place_and_no_value(config: Path) -> None:
    config.write_text(
        '[web]\nprot = 8080\nport = "many"\n'
        '[broker]\ningest = {username = "hes.ingest", password = "secret-word"}\n'
        '[firmware]\nrelease_keys = {aa = "00"}\n'
    )
    told = command_line.tell(config, "init")
    assert told.returncode == 2
    lines = told.stderr.splitlines()
    assert f"{config}: web.prot: there is no such setting" in told.stderr
    assert f"{config}: web.port: Input should be a valid integer" in told.stderr
    assert f"{config}: broker.ingest.password_file: Field required" in told.stderr
    assert f"{config}: firmware: 'aa' is not the id of public key" in told.stderr
    assert len(lines) == 5
    assert "secret-word" not in told.stderr


def test_a_file_that_is_no_toml_is_told_with_its_line(config: Path) -> None:
    config.write_text("[web\n")
    told = command_line.tell(config, "init")
    assert (told.returncode, "Traceback" in told.stderr) == (2, False)
    assert f"{config}: not TOML: " in told.stderr
    assert "line 1" in told.stderr


def test_a_password_is_asked_for_twice_at_a_terminal_and_not_shown(config: Path) -> None:
    assert command_line.tell(config, "init").returncode == 0
    master, slave = os.openpty()
    command = [Path(sys.executable).with_name("hesper-cloud"), "user", "add", "ann"]
    process = subprocess.Popen(
        [*command, "--role", "operator", "--config", config],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    said = b""
    with closing(os.fdopen(master, "r+b", buffering=0)) as terminal, suppress(OSError):
        while octets := terminal.read(1024):  # ends with EIO when the program has
            said += octets
            if said.endswith(b": "):  # the blank comes once echo is off and old input is dropped
                terminal.write(PASSWORD.encode() + b"\n")
    assert process.wait(60) == 0, said
    assert b"Password of ann:" in said
    assert b"ann is operator" in said
    assert PASSWORD.encode() not in said


def test_of_a_meter_with_two_papers_that_differ_neither_is_believed(head_end: Any) -> None:
    first, other = MeterPaper(id="T1", gateway="gw-1"), MeterPaper(id="T1", gateway="gw-2")
    with pytest.raises(ProvisioningError, match="T1 is there twice"):
        commission(head_end.databases, [first, other])
    with reading(head_end.databases.registry) as session:
        assert session.get(Meter, "T1") is None
    assert commission(head_end.databases, [first, first]) == 2
