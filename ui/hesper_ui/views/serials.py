"""Serial numbers as people paste them: one a line, or with commas, semicolons or spaces between."""

import re

from hesper_ui.services import Invalid
from hesper_ui.words import say

MOST = 20_000
_BETWEEN = re.compile(r"[\s,;]+")


def read(text: str) -> tuple[str, ...]:
    """Returns the serial numbers in a text, each once, in their order.

    Raises:
        Invalid: there is none, or more than the console takes by hand.
    """
    found = tuple(dict.fromkeys(each for each in _BETWEEN.split(text) if each))
    if not found:
        raise Invalid(say("Name at least one meter."))
    if len(found) > MOST:
        raise Invalid(say("More than {most} serials: use the filters of the list.", most=MOST))
    return found
