"""docs/interoperation.md shows what is recorded, and every refusal has its reason."""

from __future__ import annotations

import pytest
from hesper_lab import interoperation


def test_the_page_shows_the_record() -> None:
    page = interoperation.PAGE.read_text()
    assert interoperation.rendered(page, interoperation.load()) == page


def test_an_outcome_without_a_reason_is_not_rendered() -> None:
    session = {"peer": "gurux", "as": "client", "services": {"get": "Wrong: 5"}}
    with pytest.raises(interoperation.Unexplained):
        interoperation.table([session])


def test_sessions_that_came_to_the_same_share_a_row_and_no_others_do() -> None:
    tried = [("hdlc", "lls", "0"), ("wrapper", "lls", "0"), ("hdlc", "gmac", "1"),
             ("hdlc", "gmac", "2"), ("wrapper", "gmac", "1")]  # fmt: skip
    sessions = [
        {"peer": "p", "as": "client", "link": link, "authentication": how,
         "suite": f"suite {suite}", "services": {"get": "ok"}}
        for link, how, suite in tried
    ]  # fmt: skip
    rows = interoperation.table(sessions).splitlines()[2:]
    assert rows[:2] == [
        "| p | client | logical names | lls, gmac (1/2) | hdlc | ok |",
        "| p | client | logical names | lls, gmac (1) | wrapper | ok |",
    ]
    sessions[1]["services"] = {"get": "ok", "set": "ok"}
    assert "| p | client | logical names | lls | wrapper | ok | ok |" in interoperation.table(
        sessions
    )
