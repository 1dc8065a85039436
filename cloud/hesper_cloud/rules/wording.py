"""The text of an alert from a rule's template: names in braces, and nothing else, are filled in."""

import re
from collections.abc import Mapping
from decimal import Decimal

NAMES = ("subject", "title", "value", "limit", "unit", "since", "count", "code", "place")
_NAME = re.compile(r"\{([^{}]*)\}")


def check_names(template: str) -> None:
    """Checks that a template names only what there is.

    Raises:
        ValueError: it names something else; the text says what there is.
    """
    wrong = [name for name in _NAME.findall(template) if name not in NAMES]
    if wrong:
        known = ", ".join(f"{{{name}}}" for name in NAMES)
        raise ValueError(f"the text may name {known}; {{{wrong[0]}}} is none of them")


def fill(template: str, facts: Mapping[str, object]) -> str:
    """Returns a template with what is known; what is not known is shown as a dash."""
    return _NAME.sub(lambda found: str(facts.get(found[1], "–")), template)


def plain(value: float | Decimal) -> str:
    """Returns a number as people write it: no exponent, no zeros at the end."""
    text = f"{Decimal(str(value)):.3f}" if isinstance(value, float) else f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
