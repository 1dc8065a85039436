"""What the lab writes as TOML is read back as it was."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hesper_lab import toml_text


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "gw-lan", "port": 1883, "share": 0.5, "on": True, "ports": [1, 2, 3], "none": []},
        {"broker": {"host": "127.0.0.1", "tls": {"ca": "x"}}, "after": 1},
        {"lines": [{"name": "a", "kind": "tcp"}, {"name": "b", "at": {"host": "h"}}]},
        {"text": 'quotes " and \\ and\nlines\ttabs', "names": ["Tomás", "電力", "🔌", "\x7f\x01"]},
        {"keys": {"0123abcd": "ff00", "weird key.with dots": 1}},
    ],
)
def test_round_trip(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text.text(document)) == document


def test_none_is_left_out_and_paths_are_texts() -> None:
    written = toml_text.text(
        {"zone": None, "meters": [{"id": "M1", "key": None}], "at": Path("/x")}
    )
    assert tomllib.loads(written) == {"meters": [{"id": "M1"}], "at": "/x"}
