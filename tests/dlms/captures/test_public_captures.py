"""Frames of real meters through the command line, and their look in a tree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from hesper_gateway.explain import Explainer, to_json

Run = Callable[..., Any]


def flat(values: object) -> Iterator[object]:
    """Yield the values in nested lists."""
    if isinstance(values, list):
        for each in values:
            yield from flat(each)
    else:
        yield values


def test_the_command_line_decodes_it(run: Run, published: Any) -> None:
    options = ["decode", "--link", published.link, "--json"]
    if published.encryption_key is not None:
        options += ["--encryption-key", published.encryption_key, "--authentication-key-unknown"]
    done = run(*options, stdin=published.octets.hex(" "))
    expected = {"messages": published.record["messages"], "dropped": published.record["dropped"]}
    assert json.loads(done.stdout) == expected
    assert done.returncode == (0 if expected["messages"] else 1)
    values = [value for message in expected["messages"] for value in flat(message["values"])]
    assert set(published.record["published"]) <= set(values)


def test_it_can_be_explained(published: Any) -> None:
    tree = Explainer().explain(published.octets)
    shown = json.dumps(to_json(tree))
    assert published.link != "hdlc" or "HDLC UI" in shown or "HDLC I" in shown
    assert published.link != "mbus" or "M-Bus part" in shown
    assert published.link != "wrapper" or "wPort" in shown
    assert "Notification" in shown or "GeneralGlo" in shown or "Ciphered" in shown
