"""Words: every text of the console has them in every language, and numbers have its signs."""

import pytest
from hesper_ui import catalogue, tongues
from hesper_ui.views.looks import command_kind
from hesper_ui.views.wording import age_text, percent, plural, power, scaled
from hesper_ui.words import say, speaking
from starlette.requests import HTTPConnection

FOUND = catalogue.found()
GERMAN = tongues.tongue("de")


def asking(language: str = "", cookie: str = "") -> HTTPConnection:
    headers = [(b"accept-language", language.encode()), (b"cookie", cookie.encode())]
    return HTTPConnection({"type": "http", "headers": headers})


@pytest.mark.parametrize("language", [each for each in tongues.languages() if each != "en"])
def test_no_text_of_the_console_is_without_words(language):
    lacking = catalogue.missing(language, FOUND)
    assert not lacking, f"run python -m hesper_ui.catalogue and fill in {language}: {lacking}"


def test_every_text_is_said_where_a_catalogue_can_find_it():
    assert FOUND.faults == []
    assert len(FOUND.texts) > 500


def test_the_finder_sees_literals_that_are_shown_without_being_said(tmp_path):
    page = 'Text("Hello")\nText(say("Good day"))\npanel(f"{count} things")\nplural(2, "thing")\n'
    page += 'def draw():\n    mark = "Good night"\n'
    page += '    words = "Good evening"\n    Text(say(words))\n'
    (tmp_path / "page.py").write_text(page)
    found = catalogue.found(tmp_path)
    assert [fault.partition(" ")[0] for fault in found.faults] == ["page.py:1", "page.py:3"]
    assert {"Good day", "Good evening"} <= found.texts
    assert "Good night" not in found.texts
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


def test_what_is_foreign_is_put_in_as_it_is():
    with speaking(GERMAN):
        told = say("asked by {who}: {why}", who="{role}", why="Open")
    assert told == "angefordert von {role}: Open"
    assert say("nothing of the sort {name}", name=1) == "nothing of the sort 1"
