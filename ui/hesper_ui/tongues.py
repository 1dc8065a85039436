"""Languages: a catalogue of words and the signs numbers are written with, one file a language.

English is written in the code and is its own key. Every other language is a gettext file,
`locale/<language>/LC_MESSAGES/hesper.po`; what it lacks stays English. A person's browser says
which language it wants, and the choice in the menu (a cookie) goes before that. The signs of
numbers and the units may be chosen apart from it, by cookies too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol
from starlette.requests import HTTPConnection

FOLDER = Path(__file__).parent / "locale"
COOKIE = "hesper_language"
DECIMAL_COOKIE, UNITS_COOKIE = "hesper_decimal", "hesper_units"
AUTOMATIC = "auto"
SIGNS = {"point": (".", ",", "en-GB"), "comma": (",", ".", "de-DE")}
"""Decimal and group sign by name, and a language tag by which a browser writes numbers so."""
UNITS = (AUTOMATIC, "base", "kilo", "mega")
"""In which units energy and power are shown: by size, or always W, kW or MW."""
ENGLISH = "en"
_REGIONS = {ENGLISH: "en-GB"}  # how English writes its dates
_MOST_WANTED = 10


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language as the console speaks it."""

    language: str
    name: str  # as its speakers call it
    decimal: str
    group: str
    words: Mapping[str, str]
    counted: Mapping[str, tuple[str, ...]]  # one and many, by the English singular
    signs: str = AUTOMATIC  # of numbers: the language's own, or one of SIGNS
    units: str = AUTOMATIC  # one of UNITS

    @property
    def tag(self) -> str:
        """The language tag (BCP 47) by which a browser writes numbers and dates."""
        return _REGIONS.get(self.language, self.language)

    @property
    def numbers(self) -> str:
        """The language tag by which a browser writes numbers as they are written here."""
        return SIGNS[self.signs][2] if self.signs in SIGNS else self.tag

    def word(self, english: str) -> str:
        """Returns a text in this language, or as it is."""
        return self.words.get(english, english)

    def noun(self, count: int, one: str, many: str) -> str:
        """Returns the form of a noun that goes with ``count``."""
        forms = self.counted.get(one)
        if forms is None:
            return one if count == 1 else many
        return forms[0 if Locale(self.language).plural_form(count) == "one" else -1]


@cache
def languages() -> tuple[str, ...]:
    """Returns the languages there are files for, English first."""
    return (ENGLISH, *sorted(path.name for path in FOLDER.iterdir() if file_of(path.name).exists()))


def file_of(language: str) -> Path:
    """Returns where the catalogue of a language is."""
    return FOLDER / language / "LC_MESSAGES" / "hesper.po"


def _take(message: Message, words: dict[str, str], counted: dict[str, tuple[str, ...]]) -> None:
    """Takes in what has been translated; of a noun the singular also counts as a word."""
    english, said = message.id, message.string
    if isinstance(english, str) and isinstance(said, str) and english and said:
        words[english] = said
    elif isinstance(english, tuple | list) and isinstance(said, tuple | list) and all(said):
        counted[english[0]] = tuple(said)
        words.setdefault(english[0], said[0])


@cache
def tongue(language: str) -> Tongue:
    """Reads a language; an unknown one is English."""
    if language not in languages():
        language = ENGLISH
    words: dict[str, str] = {}
    counted: dict[str, tuple[str, ...]] = {}
    if language != ENGLISH:
        with file_of(language).open("rb") as file:
            for message in read_po(file):
                _take(message, words, counted)
    locale = Locale(language)
    return Tongue(
        language,
        locale.display_name or language,
        get_decimal_symbol(locale),
        get_group_symbol(locale),
        words,
        counted,
    )


def wanted_by(request: HTTPConnection) -> Tongue:
    """Returns how a browser wants to be spoken to: language, signs of numbers, units."""
    wanted = _language_of(request)
    signs = request.cookies.get(DECIMAL_COOKIE, AUTOMATIC)
    units = request.cookies.get(UNITS_COOKIE, AUTOMATIC)
    if signs in SIGNS:
        decimal, group, _ = SIGNS[signs]
        wanted = replace(wanted, decimal=decimal, group=group, signs=signs)
    return replace(wanted, units=units) if units in UNITS[1:] else wanted


def _language_of(request: HTTPConnection) -> Tongue:
    """Returns the language that a browser asks for, by its cookie or else by its settings."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in languages():
        return tongue(chosen)
    asked = request.headers.get("accept-language", "").split(",")[:_MOST_WANTED]
    wanted = [tag.partition(";")[0].strip() for tag in asked]
    return tongue(negotiate_locale(wanted, list(languages()), sep="-") or ENGLISH)
