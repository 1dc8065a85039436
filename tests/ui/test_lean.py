"""Lean elements tell NiceGUI of what changes as its own do, and keep nothing that all share."""

from collections.abc import Iterator
from typing import Any

import pytest
from hesper_ui import lean
from nicegui import Client, binding, element, ui
from nicegui.classes import Classes
from nicegui.element import Element
from nicegui.page import page


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client whose elements are lean; nothing of it stays."""
    for name in ("Classes", "Style", "Props"):
        monkeypatch.setattr(element, name, getattr(element, name))
    monkeypatch.setattr(binding, "bindable_properties", binding.bindable_properties)
    lean.install()
    made = Client(page("/lean"))
    yield made
    made.delete()


def told(client: Client, change: Any) -> list[int]:
    """Returns the ids of the elements of which the browser is told after a change."""
    client.outbox.updates.clear()
    change()
    return list(client.outbox.updates)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.classes("one two"),
        lambda it: it.style("color: red"),
        lambda it: it.props("title=x"),
        lambda it: it.props.__setitem__("title", "x"),
        lambda it: it.classes.append("one"),
    ],
)
async def test_a_change_is_told(client: Client, change: Any) -> None:
    with client:
        one = Element("div")
    assert told(client, lambda: change(one)) == [one.id]


async def test_a_list_within_props_is_watched_as_before(client: Client) -> None:
    with client:
        one = Element("div")
    one.props["rows"] = [1]
    assert told(client, lambda: one.props["rows"].append(2)) == [one.id]


async def test_elements_share_nothing_that_one_of_them_was_given(client: Client) -> None:
    with client:
        one, other = Element("div"), Element("div")
    one.classes("mine").style("color: red").props("title=x")
    one.props.add_rename("old", "new")
    assert (list(other.classes), dict(other.style), dict(other.props)) == ([], {}, {})
    one.props["old"] = other.props["old"] = "kept"
    assert one.props["new"] == "kept"
    assert "new" not in other.props


async def test_what_all_are_given_is_not_kept_for_each(client: Client) -> None:
    with client:
        one = Element("div")
    assert {"_renames", "_change_handlers"}.isdisjoint(vars(one.props))
    assert not binding.bindable_properties


async def test_what_is_bound_is_told_all_the_same(client: Client) -> None:
    with client:
        source, target = ui.label("before"), ui.label("")
    target.bind_text_from(source, "text")
    source.text = "after"
    assert target.text == "after"


async def test_to_install_it_again_changes_nothing(client: Client) -> None:
    known = binding.bindable_properties
    lean.install()
    assert binding.bindable_properties is known
    with client:
        assert isinstance(Element("div").props, lean.LeanProps)


def test_another_release_of_nicegui_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nicegui.__version__", "3.99.0")
    monkeypatch.setattr(element, "Classes", Classes)
    lean.install()
    assert element.Classes is Classes
