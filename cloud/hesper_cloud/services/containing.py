"""Which texts hold a word, capital or small: what every search of a list asks.

SQLite's LIKE is deaf to capitals by itself, but of the letters of ASCII alone: by it ``özdemir``
does not find Özdemir (https://sqlite.org/lang_expr.html#like). What SQLAlchemy makes of ILIKE there
is thrice as slow and no better. So a word with other letters is looked for by GLOB, which takes a
choice of characters at each place. PostgreSQL's ILIKE knows the letters of the database's locale.
"""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import InstrumentedAttribute, Session

_SIGNS = "*?["
"""Of GLOB; in brackets they stand for themselves."""


def holds(session: Session, column: InstrumentedAttribute[Any], word: str) -> ColumnElement[bool]:
    """Returns the condition that a text holds a word, capital or small."""
    if session.get_bind().dialect.name == "postgresql":
        return column.icontains(word, autoescape=True)
    if word.isascii():
        return column.contains(word, autoescape=True)
    return column.op("GLOB", is_comparison=True)(f"*{''.join(map(_either, word))}*")


def _either(letter: str) -> str:
    """Returns the part of a GLOB pattern for one character, itself and in the other case."""
    forms = {form for form in (letter, letter.lower(), letter.upper()) if len(form) == 1}
    if len(forms) == 1 and letter not in _SIGNS:
        return letter
    return f"[{''.join(sorted(forms))}]"
