"""Numbers that people write into forms: read as they were meant, or refused."""

import pytest
from hesper_ui import tongues
from hesper_ui.services import Invalid
from hesper_ui.views import plans, rule_form
from hesper_ui.words import speaking

GERMAN = tongues.tongue("de")


@pytest.mark.parametrize(("language", "text"), [("en", "1,000"), ("de", "1.000")])
def test_a_thousand_with_its_sign_is_not_read_as_one(language, text):
    with speaking(tongues.tongue(language)), pytest.raises(Invalid, match="1000"):
        plans.schedule_of({"profile_s": text})
    with speaking(tongues.tongue(language)), pytest.raises(Invalid, match="1000"):
        rule_form.document({}, "threshold", {"limit": text}, {})


def test_who_is_refused_is_told_both_ways_to_write_it():
    with speaking(GERMAN), pytest.raises(Invalid) as refused:
        plans.schedule_of({"snapshot_s": "1.500"})
    assert "1500" in str(refused.value)
    assert "1,500" in str(refused.value)


@pytest.mark.parametrize(
    ("language", "text", "seconds"),
    [
        *(("en", "1.5", 1.5), ("en", "1,5", 1.5), ("en", "1.250", 1.25), ("en", "0,125", 0.125)),
        *(("de", "1,5", 1.5), ("de", "1.5", 1.5), ("de", "1,250", 1.25), ("de", " 900 ", 900)),
    ],
)
def test_a_fraction_is_read_with_either_sign(language, text, seconds):
    with speaking(tongues.tongue(language)):
        assert plans.schedule_of({"jitter_s": text}) == {"jitter_s": seconds}


@pytest.mark.parametrize("value", [31_622_400, 31_622_400.0, 900, 0.125, 2.125, 245.5, 1000])
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_form_gives_back_the_number_that_it_was_given(language, value):
    with speaking(tongues.tongue(language)):
        text = plans.text_of({"profile_s": value}, "profile_s")
        assert plans.schedule_of({"profile_s": text}) == {"profile_s": value}
        limit = rule_form.texts(rule_form.FIELDS["threshold"], {"limit": value})["limit"]
        document = rule_form.document({}, "threshold", {"limit": limit}, {})
        assert float(document["condition"]["limit"]) == value


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.5, "0,5 s"), (90, "90 s"), (900, "15 min"), (31_622_400, "8.784 h")]
)
def test_a_schedule_says_its_times_whole_and_in_the_signs_of_the_language(seconds, said):
    with speaking(GERMAN):
        assert plans.duration(seconds) == said
