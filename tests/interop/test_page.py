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
