"""Rows that no program of ours wrote: each is refused, and keeps nothing else waiting."""

import json

import pytest
from hesper_cloud.accounts import factors

from_the_web = {
    "meters that no database takes": (
        "batch.propose",
        {"meters": ["\ud800"], "kind": "relay.read"},
    ),
    "parameters that no text holds": (
        "command.request",
        {"kind": "read.registers", "parameters": {"x": "\ud800"}},
    ),
    "lists for words": ("command.request", {"action": ["disconnect"], "meter": ["a"]}),
    "an object for a batch": ("batch.release", {"batch": {"id": 1}, "digest": [1]}),
    "no object at all": ("command.cancel", {"command": None}),
}


@pytest.mark.parametrize("what", from_the_web)
def test_a_malformed_request_is_refused_and_the_next_is_settled(head_end, what):
    kind, payload = from_the_web[what]
    common = {"reason": "a look", "serial_tail": ""}
    assert head_end.ask("ann", kind, **common | payload).state == "refused"
    assert head_end.ask("ann", "kill_switch.engage", reason="stop it").state == "done"


@pytest.mark.parametrize("password", ["[" * 100_000, '{"password": "\\ud800", "code": ""}'])
def test_a_password_that_no_parser_bears_is_a_wrong_one(head_end, password):
    asked = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(asked, password=password).state == "refused"
    assert head_end.command(asked).state == "awaiting_approval"
    assert head_end.approve(asked).state == "done"


def test_a_secret_that_is_no_base32_is_no_factor(head_end):
    given = {"password": "asking-politely-1", "code": "", "first": "1", "recovery": ""}
    sealed = json.dumps(given | {"secret": "A" * 33})
    assert not factors.is_secret("A" * 33)
    row = head_end.ask("ann", "factor.enrol", account="ann", password=sealed)
    assert "base32" in row.outcome["reason"]
