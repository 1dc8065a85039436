"""What NiceGUI works out anew for every element is worked out once.

Each element has three collections (classes, style, props), and for each NiceGUI inspects the
signature of the method that hears of its changes: half of what building a page takes. Methods of
one class have one signature, so the answer for its function is kept.
"""

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any

from nicegui import helpers

_inspected = helpers.expects_arguments
_KNOWN: dict[FunctionType, bool] = {}


def expects_arguments(func: Callable[..., Any]) -> bool:
    """Says what NiceGUI's function of this name says; remembers it for methods of its classes."""
    function = func.__func__ if isinstance(func, MethodType) else None
    if not isinstance(function, FunctionType) or not function.__module__.startswith("nicegui."):
        return _inspected(func)
    known = _KNOWN.get(function)
    if known is None:
        known = _KNOWN[function] = _inspected(func)
    return known


def install() -> None:
    """Has NiceGUI ask here; to be called once more does nothing."""
    helpers.expects_arguments = expects_arguments
