"""What is wrong with a keys file is said with its place, and never with a secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
SECRET = "000102030405060708090a0b0c0d0e0f"
READ = ("read", "--host", "127.0.0.1", "--port", "1", "1:0.0.42.0.0.255:2", "--client", "1")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f'{{"encryption_key": "{SECRET}",\n', "is no JSON: "),
        (f'{{"encryption_key": "{SECRET}",\n', "(line 2, column 1)"),
        (f'["{SECRET}"]', 'is no JSON object such as {"password": "…"}'),
        (f'{{"encryptionkey": "{SECRET}"}}', "unknown key 'encryptionkey'"),
        (f'{{"encryptionkey": "{SECRET}"}}', "there are agreement_key, authentication_key"),
        (b"\xff\xfe{", "is no text in UTF-8"),
    ],
)
def test_a_mistake_is_named(run: Run, tmp_path: Path, written: str | bytes, said: str) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    done = run(*READ, "--authentication", "gmac", "--keys-file", str(file))
    assert done.returncode == 2
    assert said in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(("mode", "warned"), [(0o644, 1), (0o640, 1), (0o600, 0)])
def test_a_file_that_others_may_read_is_told_once(
    run: Run, tmp_path: Path, mode: int, warned: int
) -> None:
    """The agent refuses it, so nobody should get used to it at the desk."""
    file = tmp_path / "keys.json"
    file.write_text(f'{{"encryption_key": "{SECRET}", "authentication_key": "{SECRET}"}}')
    file.chmod(mode)
    done = run(*READ, "--authentication", "gmac", "--keys-file", str(file))
    assert done.stderr.count(f"{file}: others may read it; run: chmod 600 {file}") == warned
    assert (done.returncode, "cannot be reached" in done.stderr) == (1, True)


def test_a_mark_at_the_beginning_is_no_mistake(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(b'\xef\xbb\xbf{"password": "12345678"}')
    done = run(*READ, "--authentication", "lls", "--keys-file", str(file))
    assert (done.returncode, "cannot be reached" in done.stderr) == (1, True)
