"""``hesper-cloud`` in the process of the tests: what it prints, and how it ends."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hesper_cloud import cli


class Told(NamedTuple):
    """What became of one command."""

    returncode: int
    stdout: str
    stderr: str


def tell(config: Path, *words: object, text: str = "") -> Told:
    """Runs the command line as its own process would, with a text for its standard input."""
    out, complaints = io.StringIO(), io.StringIO()
    command = ["hesper-cloud", *map(str, words), "--config", str(config)]
    with (
        patch.object(sys, "argv", command),
        patch.object(sys, "stdin", io.StringIO(text)),
        redirect_stdout(out),
        redirect_stderr(complaints),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return Told(int(ended.value.code or 0), out.getvalue(), complaints.getvalue())
