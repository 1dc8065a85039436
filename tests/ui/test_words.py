"""Words: every text of the console has them in every language, and numbers have its signs."""

from dataclasses import replace

import pytest
from console_double.fleet import Fleet
from hesper_cloud import quantities
from hesper_ui import assets, catalogue, tongues
from hesper_ui.views import registers
from hesper_ui.views.looks import command_kind
from hesper_ui.views.wording import (
    age_text,
    ago_text,
    grouped,
    lasting_text,
    percent,
    plain,
    plural,
    power,
    scaled,
    within_text,
)
from hesper_ui.words import say, speaking
from starlette.requests import HTTPConnection

GERMAN = tongues.tongue("de")


@pytest.fixture(scope="module")
def found():
    return catalogue.found()


def asking(language: str = "", cookie: str = "") -> HTTPConnection:
    headers = [(b"accept-language", language.encode()), (b"cookie", cookie.encode())]
    return HTTPConnection({"type": "http", "headers": headers})


@pytest.mark.parametrize("language", [each for each in tongues.languages() if each != "en"])
def test_no_text_of_the_console_is_without_words(language, found):
    lacking = catalogue.missing(language, found)
    assert not lacking, f"run python -m hesper_ui.catalogue and fill in {language}: {lacking}"


def test_every_text_is_said_where_a_catalogue_can_find_it(found):
    assert found.faults == []
    assert len(found.texts) > 500


def test_the_finder_sees_literals_that_are_shown_without_being_said(tmp_path):
    page = 'Text("Hello")\nText(say("Good day"))\npanel(f"{count} things")\nplural(2, "thing")\n'
    page += 'def draw():\n    mark = "Good night"\n'
    page += '    words = "Good evening"\n    Text(say(words))\n'
    page += '    Text(f"{count} apples")\n'
    page += '    title, more = "Good noon", "Good grief"\n    Text(say(title))\n'
    page += '    label = "Good luck" if title else "Good heavens"\n    entry(label, title)\n'
    (tmp_path / "page.py").write_text(page)
    found = catalogue.found(tmp_path)
    faults = [fault.partition(" ")[0] for fault in found.faults]
    assert faults == ["page.py:1", "page.py:3", "page.py:9"]
    assert {"Good day", "Good evening", "Good noon"} <= found.texts
    assert {"Good luck", "Good heavens"} <= found.texts
    assert not {"Good night", "Good grief"} & found.texts
    assert found.nouns == {"thing": "things"}


@pytest.mark.parametrize("language", tongues.languages())
def test_translations_name_the_same_values_as_the_english(language):
    def names(text: str) -> set[str]:
        return {part.partition("}")[0] for part in text.split("{")[1:]}

    spoken = tongues.tongue(language).words
    assert {text for text, words in spoken.items() if names(text) != names(words)} == set()


def test_a_language_is_chosen_by_cookie_then_by_the_browser():
    assert tongues.wanted_by(asking("fr, de;q=0.8")).language == "de"
    assert tongues.wanted_by(asking("de-AT")).language == "de"
    assert tongues.wanted_by(asking("de", "hesper_language=en")).language == "en"
    assert tongues.wanted_by(asking("xx", "hesper_language=../../etc")).language == "en"


def test_what_the_cloud_names_quantities_has_words():
    assert {*quantities.NAMES.values()} - {"Relay"} == {*registers.NAMES}
    row = Fleet().latest("HES12642984")[0]
    with speaking(GERMAN):
        assert registers.name_of(row) == "Wirkenergie Bezug"
        assert registers.name_of(replace(row, name="Sag counter")) == "Sag counter"


def test_numbers_and_nouns_have_the_signs_and_forms_of_the_language():
    with speaking(GERMAN):
        assert scaled(1_234_567, -2) == "12.345,67"
        assert power(1_234) == ("1,23", "kW")
        assert percent(99.31) == "99,3"
        assert plural(1, "gap") == "1 Lücke"
        assert plural(2_000, "gap") == "2.000 Lücken"
        assert age_text(3 * 86_400) == "3 Tage"
        assert command_kind("relay.disconnect") == "Versorgung trennen"
    assert scaled(1_234_567, -2) == "12,345.67"


@pytest.mark.parametrize("language", tongues.languages())
def test_a_count_is_read_as_it_is_shown(language):
    with speaking(tongues.tongue(language)):
        written = (grouped(9_900), " 9 900", "9900")
        assert {plain(each) for each in written} == {"9900"}


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (5, "5 s ago · for 5 s · within 5 s", "vor 5 s · seit 5 s · binnen 5 s"),
        (
            600,
            "10 min ago · for 10 min · within 10 min",
            "vor 10 min · seit 10 min · binnen 10 min",
        ),
        (172_799, "47 h ago · for 47 h · within 47 h", "vor 47 h · seit 47 h · binnen 47 h"),
        (
            172_800,
            "2 days ago · for 2 days · within 2 days",
            "vor 2 Tagen · seit 2 Tagen · binnen 2 Tagen",
        ),
    ],
)
def test_days_are_bent_by_what_governs_them(seconds, english, german):
    def told() -> str:
        return " · ".join(each(seconds) for each in (ago_text, lasting_text, within_text))

    assert told() == english
    with speaking(GERMAN):
        assert told() == german


def test_scripts_say_ages_with_what_governs_them_too():
    said = assets.words_of_scripts()
    assert {"{count} days", "{count} days ago", "for {count} days"} <= set(said)
    assert GERMAN.word("{count} days ago") == "vor {count} Tagen"


def test_what_is_foreign_is_put_in_as_it_is():
    with speaking(GERMAN):
        told = say("asked by {who}: {why}", who="{role}", why="Open")
    assert told == "angefordert von {role}: Open"
    assert say("nothing of the sort {name}", name=1) == "nothing of the sort 1"
