"""What commands print is whole, and where it cannot be printed one line says why."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_gateway.desk.output import add_row, folding
from rich.console import Console

Run = Callable[..., Any]
GET = "C001C100030100010800FF0200"


def test_a_value_longer_than_the_line_goes_on_in_the_next() -> None:
    value = "".join(f"{octet:02x}" for octet in range(120))
    table = folding("object", "value")
    add_row(table, ("1:0.0.42.0.0.255:2", value))
    out = io.StringIO()
    Console(file=out, width=50).print(table)
    shown = [line.split("│")[2].strip() for line in out.getvalue().splitlines()[3:-1]]
    assert "".join(shown) == value


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    command = "import sys; from hesper_gateway.desk.cli import main; sys.argv[0] = 'x'; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-u", "-c", command, "explain", GET],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "chosen", [["--from", "2026-01-02", "--to", "2026-01-01"], ["--entries", "5-2"]]
)
def test_rows_that_end_before_they_begin_are_not_asked_for(run: Run, chosen: list[str]) -> None:
    done = run("profile", "--host", "127.0.0.1", "--port", "1", "1.0.99.1.0.255", *chosen)
    assert done.returncode == 2
    assert "ends before" in done.stderr
