"""What services say is said in every language: from code and values, never from the sentence."""

import pytest
from hesper_cloud.authority.rules import Denied
from hesper_cloud.events import catalogue as events
from hesper_cloud.reports.kinds import KINDS as REPORTS
from hesper_cloud.rules import built_in
from hesper_cloud.services.errors import Refused
from hesper_cloud.settings import RuleSettings
from hesper_cloud.worded import Worded, reason, restored, told_by, worded, wording
from hesper_ui import tongues
from hesper_ui.services import texts
from hesper_ui.views import longer
from hesper_ui.views.attention_words import cause
from hesper_ui.views.rule_words import BUILT_IN, OTHERS, STORMY
from hesper_ui.views.wording import retold, sentence
from hesper_ui.words import speaking

GERMAN = tongues.tongue("de")
FOREIGN = [each for each in tongues.languages() if each != tongues.ENGLISH]


@pytest.mark.parametrize("language", FOREIGN)
def test_every_refusal_event_alert_and_job_has_words(language):
    known = tongues.tongue(language).words
    kinds = [*(title for title, _ in BUILT_IN.values()), *OTHERS.values(), *STORMY]
    titles = [entry.title for entry in events.entries().values()]
    wanted = {*texts.of_services(), *kinds, *titles, *longer.REPORTS.values()}
    lacking = {text for text in wanted if text not in known and any(map(str.isalpha, text))}
    assert lacking == set()


def test_every_rule_that_is_code_is_a_kind_of_alert_with_words():
    assert set(built_in.rules(RuleSettings())) == set(BUILT_IN)
    assert set(REPORTS) == set(longer.REPORTS)


def test_a_new_refusal_is_found_in_the_source(tmp_path, monkeypatch):
    (tmp_path / "new.py").write_text(
        "raise Denied('nobody has words for this')\n"
        "raise Refused(worded('neither for {this}', this=1))\n"
        "log.info('nobody reads it')\n"
    )
    monkeypatch.setattr(texts, "_SOURCE", tmp_path)
    found = texts.of_services() - {entry.title for entry in events.entries().values()}
    assert found == {"nobody has words for this", "neither for {this}"}


def test_a_text_keeps_its_wording_through_an_error_and_a_row():
    text = worded("the batch is {state}", state=worded("awaiting {what}", what="approval"))
    error = Refused(text)
    assert (str(error), type(str(error))) == ("the batch is awaiting approval", str)
    again = restored(str(error), wording(told_by(error)))
    assert isinstance(again, Worded)
    assert (again.template, again) == (text.template, text)
    assert restored("another text", wording(text)) == "another text"
    assert type(restored("another text", wording(text))) is str
    for said in (None, {}, {"template": "{x", "values": {}}, {"template": "{x}", "values": {}}, 7):
        assert restored("as it was", said) == "as it was"
    assert (wording("plain"), told_by(Denied("plain"))) == (None, "plain")


def test_the_console_says_it_in_the_language_of_the_operator():
    refusal = Denied(worded("the batch is {state}", state="paused"))
    with speaking(GERMAN):
        assert sentence(refusal) == "Der Sammelauftrag ist in diesem Zustand: angehalten."
        assert sentence(Denied("the kill switch is engaged")) == "Der Not-Halt ist aktiv."
        silent = worded("Meter {meter} is silent since {since} UTC.", meter="paused", since="9")
        assert retold(silent) == "Zähler paused schweigt seit 9 UTC.", "names stay as they came"
        assert retold("<b>no words of ours</b>") == "<b>no words of ours</b>"
        assert cause("storm/silent-meter") == "Zähler stumm"
        assert cause("export-mdm") == "Export scheitert"
        assert cause("a-rule-of-ours") == "A rule of ours"
    assert sentence(refusal) == "The batch is paused."


def test_what_is_counted_has_its_thousands_apart_and_a_number_of_something_has_not():
    template = "{name}: {count} of {total} {members}, {what}."
    storm = worded(
        template, name="F-1 (2000)", count=1250, total=40_000, members="meters", what="silent"
    )
    report = worded("there is no report {report}", report=1250)
    assert retold(storm) == "F-1 (2000): 1,250 of 40,000 meters, silent."
    assert retold(report) == "there is no report 1250"
    with speaking(GERMAN):
        assert retold(storm).startswith("F-1 (2000): 1.250 von 40.000 ")


def test_a_value_with_braces_is_a_value():
    assert worded("there is no meter {meter}", meter="{0.__class__}") == (
        "there is no meter {0.__class__}"
    )


def test_a_reason_is_made_of_the_words_and_not_of_the_values():
    assert reason(worded("there is no meter {meter!r}", meter="M1")) == "there-is-no-meter"
    assert reason("the kill switch is engaged") == "the-kill-switch-is-engaged"
