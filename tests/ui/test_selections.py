"""Selections of meters: whose they are, and how many one owner may hold."""

import pytest
from hesper_ui.selections import MOST_OF_ONE, Selections
from hesper_ui.services import NotFound


def test_one_owner_who_selects_without_end_costs_nobody_else_a_selection() -> None:
    selections = Selections()
    others = selections.keep("ann", 1, ids=("HES1",))
    own = [selections.keep("vic", 1, ids=("HES1",)) for _ in range(1000)]
    assert selections.get("ann", others.id) is others
    for kept in own[-MOST_OF_ONE:]:
        assert selections.get("vic", kept.id) is kept
    for gone in own[:-MOST_OF_ONE]:
        with pytest.raises(NotFound):
            selections.get("vic", gone.id)
