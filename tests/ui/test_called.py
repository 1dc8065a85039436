"""What the field and programs know by a code is called by words, in the operator's language."""

import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import hesper_cloud
import pytest
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.assets.errors import WrongField
from hesper_cloud.assets.kinds import CUSTOMER
from hesper_cloud.authority.hours import Weather
from hesper_cloud.authority.policy import Policy
from hesper_ui import tongues
from hesper_ui.pages import access_log
from hesper_ui.services import ChangeRow, EventRow
from hesper_ui.views import assets, event_words, findings, policy_words
from hesper_ui.views.wording import sentence
from hesper_ui.words import speaking

GERMAN = tongues.tongue("de")
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SEEN = EventRow(
    "1", "HES1", "gw-1", "meter.identified", "info", NOW, NOW, "HSP1 on line rs485", {}
)  # fmt: skip


def test_an_event_is_called_by_its_code_and_what_the_gateway_wrote_stands_beside():
    with speaking(GERMAN):
        assert event_words.told(SEEN) == (
            "Zähler hat sich gemeldet", "HSP1 on line rs485 · meter.identified",
        )  # fmt: skip
        assert event_words.told(replace(SEEN, text="")) == (
            "Zähler hat sich gemeldet", "meter.identified",
        )  # fmt: skip
    assert event_words.told(replace(SEEN, text="Meter identified itself"))[1] == "meter.identified"
    assert event_words.told(replace(SEEN, code="4711")) == ("HSP1 on line rs485", "4711")
    assert event_words.told(replace(SEEN, code="4711", text="")) == ("4711", "")


def test_every_rule_of_a_policy_has_a_name_in_words():
    weather = Weather(series="town")
    lines = list(policy_words.lines(Policy(weather=weather).model_dump(mode="json")))
    assert {line.name for line in lines} <= set(policy_words.NAMES)
    assert {name for name in policy_words.NAMES if "." in name} <= {line.name for line in lines}


@pytest.mark.parametrize(
    ("written", "called", "said"),
    [
        ({"four_eyes": ["relay.disconnect"]}, "Eine zweite Person gibt frei", "Versorgung trennen"),
        ({"approval_window_s": 900}, "Freigabe binnen", "15 min"),
        ({"expiry_s": 60}, "Ein Befehl verfällt nach", "60 s"),
        ({"batches": {"cuts_for_s": 180_000}}, None, "50 h"),
        ({"batches": {"cuts_for_s": 259_200}}, None, "3 Tage"),
        ({"disconnects": {"seconds_between": 0.2}}, "Trennungen · Zeit zwischen zweien", "0,2 s"),
        ({"disconnects": {"per_day": 5000}}, "Trennungen · höchstens am Tag", "5.000"),
        ({"break_glass": {"needs_factor": True}}, None, "ja"),
        ({"weather": None}, "Wetter", "–"),
        ({"hours": {"gateway_zones": {}, "weekdays": [1, 2]}}, None, "–"),
        ({"of_ours": {"new_rule": "x"}}, "of ours · new rule", "x"),
    ],
)
def test_a_policy_is_said_in_words_and_whole_units(written, called, said):
    with speaking(GERMAN):
        line = next(policy_words.lines(written))
        assert line.said == said
        assert called in (None, line.called)


def test_whatever_is_looked_at_has_words():
    source = Path(hesper_cloud.__file__).parent
    found = {
        call.args[2].value
        for path in (source / "services").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "").startswith("looked_at")
        if len(call.args) > 2 and isinstance(call.args[2], ast.Constant)
    }
    assert found
    assert found <= set(access_log.OPERATIONS)


def test_a_change_names_its_fields_and_the_life_of_a_meter():
    before, after = {"life": None, "capture_period_s": None}, {"life": "commissioned"}
    change = ChangeRow(
        1, "meter", "HES1", NOW, "ann", "commission", before, after | {"capture_period_s": 900}, ""
    )  # fmt: skip
    with speaking(GERMAN):
        assert assets.told(change) == [
            "Lebenslauf: – → in Betrieb genommen",
            "Erfassungsperiode, s: – → 900",
        ]


def test_what_a_role_may_not_and_a_field_does_not_take_is_said():
    with speaking(GERMAN):
        for permission in Permission:
            assert permission.value in GERMAN.words
        with pytest.raises(WrongField) as caught:
            CUSTOMER.checked({"account_number": "1"}, whole=True)
        assert sentence(caught.value) == "Name: ist nötig."


def test_a_form_waits_for_what_is_required():
    fields = assets.FIELDS["customer"]
    texts = {field.name: "" for field in fields} | {"name": "Grace"}
    assert not assets.complete(fields, texts | {"account_number": " "})
    assert assets.complete(fields, texts | {"account_number": "G-1906"})


def test_a_drift_is_written_with_the_signs_of_the_language():
    with speaking(GERMAN):
        assert findings.found({"clock": {"drift_ms": -4_210}}) == ["Uhr −4,2 s"]
        assert findings.found({"clock": {"drift_ms": 4_210}}) == ["Uhr +4,2 s"]
