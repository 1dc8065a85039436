"""NiceGUI's answer to what a handler expects is kept for its own methods, and for nothing else."""

from types import MethodType
from typing import Any

import pytest
from hesper_ui import quicker
from nicegui import helpers
from nicegui.classes import Classes
from nicegui.props import Props


@pytest.fixture
def inspected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The handlers whose signature was inspected, with nothing known before."""
    asked: list[Any] = []
    real = quicker._inspected

    def inspect(handler: Any) -> bool:
        asked.append(handler)
        return real(handler)

    monkeypatch.setattr(quicker, "_inspected", inspect)
    monkeypatch.setattr(quicker, "_KNOWN", {})
    return asked


@pytest.mark.parametrize("method", [Props._update, Classes._update])
def test_a_method_of_nicegui_is_inspected_once(inspected, method):
    for _ in range(3):
        assert quicker.expects_arguments(MethodType(method, object())) is False
    assert len(inspected) == 1


def test_every_other_handler_is_inspected_each_time(inspected):
    handlers = [lambda: None, lambda event: None]
    for _ in range(2):
        assert [quicker.expects_arguments(each) for each in handlers] == [False, True]
    assert len(inspected) == 4


def test_nicegui_asks_here_once_the_console_is_mounted(monkeypatch):
    monkeypatch.setattr(helpers, "expects_arguments", helpers.expects_arguments)
    quicker.install()
    assert helpers.expects_arguments is quicker.expects_arguments
