"""What commands print is whole."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from hesper_gateway.desk.output import add_row, folding
from rich.console import Console

Run = Callable[..., Any]


def test_a_value_longer_than_the_line_goes_on_in_the_next() -> None:
    value = "".join(f"{octet:02x}" for octet in range(120))
    table = folding("object", "value")
    add_row(table, ("1:0.0.42.0.0.255:2", value))
    out = io.StringIO()
    Console(file=out, width=50).print(table)
    shown = [line.split("│")[2].strip() for line in out.getvalue().splitlines()[3:-1]]
    assert "".join(shown) == value


@pytest.mark.parametrize(
    "chosen", [["--from", "2026-01-02", "--to", "2026-01-01"], ["--entries", "5-2"]]
)
def test_rows_that_end_before_they_begin_are_not_asked_for(run: Run, chosen: list[str]) -> None:
    done = run("profile", "--host", "127.0.0.1", "--port", "1", "1.0.99.1.0.255", *chosen)
    assert done.returncode == 2
    assert "ends before" in done.stderr


@pytest.mark.parametrize("given", [["--physical", "17"], ["--udp", "--address-octets", "2"]])
def test_an_hdlc_address_that_would_reach_another_meter_is_not_ignored(
    run: Run, given: list[str]
) -> None:
    """Behind one address of the wrapper, every physical address would be the meter of wPort 1."""
    done = run("read", "--host", "127.0.0.1", "--port", "1", *given, "1:0.0.42.0.0.255:2")
    assert done.returncode == 2
    assert "--link hdlc" in done.stderr
    assert "--server" in done.stderr


@pytest.mark.parametrize("command", ["read", "profile", "objects", "write", "invoke"])
def test_no_name_of_an_option_is_cut_at_80_columns(run: Run, command: str) -> None:
    shown = run(command, "--help", COLUMNS="80").stdout
    assert re.findall(r"--[a-z-]*…", shown) == []
    assert "--general-ciphering " in shown
