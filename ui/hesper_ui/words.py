"""How a page says something: in English in the code, in the operator's language on the screen.

    say("Disconnect supply to {meter}?", meter=row.id)     a text of ours, with what it names
    plural(3, "meter")                                     a count and its noun (see `wording`)
    later("silent")                                        a text in a table, said when it is shown

What takes only texts of ours says them itself: buttons, panels, table headers, states, dialogs'
titles and labels, names of places. `Text` and `link` also show foreign text, so they say nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from nicegui import Client
from nicegui.slot import Slot, get_task_id

from hesper_ui import tongues
from hesper_ui.tongues import Tongue

_SPOKEN: ContextVar[Tongue | None] = ContextVar("spoken", default=None)
_BY_CLIENT: WeakKeyDictionary[Client, Tongue] = WeakKeyDictionary()


def say(english: str, /, **values: object) -> str:
    """Returns a text of ours in the language of whoever looks at the page.

    Args:
        english: the text, whose ``{name}`` are filled in.
        values: what the text names; their own texts are left as they are.
    """
    text = current().word(english)
    return text.format(**values) if values else text


def later(english: str) -> str:
    """Marks a text that is kept in a table and said when it is shown; returns it unchanged."""
    return english


def noun(count: int, one: str, many: str) -> str:
    """Returns the form of a noun of ours that goes with ``count``."""
    return current().noun(count, one, many)


def current() -> Tongue:
    """Returns the language of the page that is being built or answered, else English."""
    spoken = _SPOKEN.get()
    if spoken is not None:
        return spoken
    stack = Slot.stacks.get(get_task_id())
    return _of_client(stack[-1].parent.client) if stack else tongues.tongue(tongues.ENGLISH)


@contextmanager
def speaking(tongue: Tongue) -> Iterator[None]:
    """Speaks one language, where no page is open: plain answers, and tests."""
    before = _SPOKEN.set(tongue)
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def _of_client(client: Client) -> Tongue:
    known = _BY_CLIENT.get(client)
    if known is None:
        known = tongues.wanted_by(client.request)
        _BY_CLIENT[client] = known
    return known
