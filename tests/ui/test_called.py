"""What the field and programs know by a code is called by words, in the operator's language."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import hesper_cloud
import msgspec
import pytest
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.assets.errors import WrongField
from hesper_cloud.assets.kinds import CUSTOMER
from hesper_cloud.authority import cases, life, outsiders
from hesper_cloud.authority.batches import states
from hesper_cloud.authority.hours import Weather
from hesper_cloud.authority.policy import Policy
from hesper_cloud.images.wish import ImageWish
from hesper_cloud.imports import checks
from hesper_cloud.reports.making import OF_HOUSEHOLDS
from hesper_contracts import parameters
from hesper_ui import tongues
from hesper_ui.pages import access_log
from hesper_ui.services import AuditEntry, ChangeRow, EventRow
from hesper_ui.views import (
    assets,
    audit_words,
    batches,
    event_words,
    findings,
    firmware,
    import_words,
    longer,
    parameter_words,
    policy_words,
    relay,
)
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


NOTING = {"note": (0, 1), "_note": (2,), "Entry": (1,)}
"""What writes into the audit log, and which of its arguments may name the action."""


def noted(module: ast.Module) -> Iterator[str]:
    """Yields the actions that a module names where it writes into the audit log."""
    named = {
        each.id: value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(value := node.value, ast.Constant)
        for each in node.targets
        if isinstance(each, ast.Name)
    }
    for call in ast.walk(module):
        name = getattr(call.func, "attr", getattr(call.func, "id", "")) if is_call(call) else ""
        for place in NOTING.get(name, ()):
            given = call.args[place] if place < len(call.args) else None
            action = named.get(given.id) if isinstance(given, ast.Name) else None
            action = given.value if isinstance(given, ast.Constant) else action
            if isinstance(action, str) and "." in action:
                yield action


def is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call)


def test_every_action_of_the_audit_log_has_words():
    source = Path(hesper_cloud.__file__).parent
    found = {
        action
        for path in source.rglob("*.py")
        for action in noted(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert {"policy.activate", "password.change", "keys.put", "certificate.issue"} <= found
    asked = {*cases.HANDLERS, "firmware.campaign", "firmware.activation", outsiders.ADMIT}
    steps = {f"command.{state}" for state in life.NEXT} | {f"batch.{each}" for each in states.NEXT}
    with speaking(GERMAN):
        for code in found | cases.NOTED | asked | steps:
            assert audit_words.action(code) != code, code
        assert audit_words.action("of.tomorrow") == "of.tomorrow"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            ("command.queued", "relay.disconnect HES1 c-1", "awaiting_approval", "queued", "ok"),
            ("Befehl: in der Schlange", "Versorgung trennen HES1 c-1",
             "wartet auf Freigabe", "in der Schlange", "ok"),
        ),
        (
            ("batch.running", "batch b-1", "canary", "running 3f0a", "by hand"),
            ("Sammelauftrag: läuft", "batch b-1", "Vorhut unterwegs", "läuft 3f0a", "by hand"),
        ),
        (
            ("request.refused", "ann", None, "batch.approve", "the kill switch is engaged"),
            ("abgelehnte Anforderung", "ann", None, "Freigabe eines Sammelauftrags",
             "der Not-Halt ist aktiv"),
        ),
        (
            ("alert.note", "alert 7", None, "login", "<b>paused</b>"),
            ("Notiz zu einem Alarm", "alert 7", None, "login", "<b>paused</b>"),
        ),
        (
            ("login", "from 127.0.0.1", None, None, None),
            ("Anmeldung", "von 127.0.0.1", None, None, None),
        ),
        (
            ("schedule.assign", "calm 2", None, '{"area": "F-000"}', None),
            ("Zuweisung eines Zeitplans", "calm 2", None, "Gebiet F-000", None),
        ),
        (
            ("schedule.assign", "calm 2", "{}", "{'gateway': 'gw-1'}", None),
            ("Zuweisung eines Zeitplans", "calm 2", "jedes Gateway", "{'gateway': 'gw-1'}", None),
        ),
        (
            ("user.set", "queued", "operator", "admin", None),
            ("Konto über die Kommandozeile gesetzt", "queued", "Operateur", "Verwalter", None),
        ),
    ],
)  # fmt: skip
def test_an_entry_of_the_audit_log_is_said_in_words_and_people_as_they_wrote(entry, said):
    action, subject, before, after, why = entry
    row = AuditEntry(1, NOW, "ann", action, subject, before, after, why, "00")
    with speaking(GERMAN):
        assert said == (
            audit_words.action(row.action),
            audit_words.subject(row),
            audit_words.value(row, before),
            audit_words.value(row, after),
            audit_words.why(why),
        )


def fields_of(kind: type) -> Iterator[str]:
    """Yields the names that a command's parameters have, however deep."""
    for field in msgspec.structs.fields(kind):
        yield field.name
        for part in msgspec.inspect.multi_type_info([field.type]):
            yield from deeper(part)


def deeper(part: msgspec.inspect.Type) -> Iterator[str]:
    if isinstance(part, msgspec.inspect.StructType):
        yield from fields_of(part.cls)
    elif isinstance(part, msgspec.inspect.UnionType):
        for each in part.types:
            yield from deeper(each)
    elif isinstance(part, msgspec.inspect.VarTupleType):
        yield from deeper(part.item_type)
    elif isinstance(part, msgspec.inspect.Metadata):
        yield from deeper(part.type)


def test_every_parameter_of_a_command_has_a_name_in_words():
    found = {
        name for kind in (*parameters._OF_KIND.values(), ImageWish) for name in fields_of(kind)
    }
    assert {"day_ids", "script", "max_step_s", "image"} <= found
    lacking = found - set(parameter_words.NAMES)
    assert lacking == set()
    assert set(parameter_words.NAMES) <= found


def test_what_a_command_is_told_is_said_in_words():
    with speaking(GERMAN):
        told = parameter_words.told(
            {
                "threshold_normal": 50_000,
                "threshold_emergency": None,
                "min_over_threshold_s": 180,
                "actions": {"over": "disconnect", "under": "nothing"},
                "log": "fraud",
                "since": "2026-06-01T12:00:00Z",
                "days": [{"day_id": 1, "switches": [{"at": "06:00:00", "script": 1}]}],
                "of_ours": "<b>7</b>",
            }
        )
    assert [(each.called, each.said) for each in told] == [
        ("Schwelle", "50.000"),
        ("Mindestens so lange über der Schwelle", "3 min"),
        ("Was der Begrenzer tut", "über der Schwelle: Trennung, unter der Schwelle: nichts"),
        ("Ereignisprotokoll", "Manipulation"),
        ("Von", NOW),
        ("Tage", "(Tagesprofil: 1, Schaltzeiten: (um: 06:00:00, Skript: 1))"),
        ("Of ours", "<b>7</b>"),
    ]
    assert [each.name for each in told][:2] == ["threshold_normal", "min_over_threshold_s"]


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
    found |= {
        each for kind in OF_HOUSEHOLDS for each in (kind, f"{kind} report", f"{kind}, mailed")
    }
    assert found <= set(access_log.OPERATIONS)


WRONG = {"Bad": 0, "checked": 1, "complain": 1, "Problem": 2}
"""What says that a row of an import is wrong, and which of its arguments is the code."""


def mistakes(module: ast.Module) -> Iterator[str]:
    """Yields the codes that a module gives to what is wrong with a row."""
    for call in ast.walk(module):
        name = getattr(call.func, "attr", getattr(call.func, "id", "")) if is_call(call) else ""
        given = call.args[WRONG[name]] if name in WRONG and len(call.args) > WRONG[name] else None
        if isinstance(given, ast.Constant):
            yield given.value


def test_every_mistake_of_an_import_has_words():
    source = Path(checks.__file__).parent
    found = {checks._there(deleted)[0] for deleted in (True, False)}
    for path in source.glob("*.py"):
        found |= {*mistakes(ast.parse(path.read_text(encoding="utf-8")))}
    assert {"not_a_date", "not_an_email", "too_many_cells", "unknown_sim"} <= found
    assert found == set(import_words.MISTAKES)
    with speaking(GERMAN):
        assert import_words.mistake("unknown_meter") == "unbekannter Zähler"
        assert import_words.mistake("of_tomorrow") == "of tomorrow"


def test_a_reason_that_was_chosen_is_said_and_one_that_was_written_is_not():
    with speaking(GERMAN):
        for chosen in (*relay.REASONS["disconnect"], *relay.REASONS["reconnect"]):
            assert relay.reason(chosen) != chosen
        assert relay.reason("Not now") == "Not now"


def test_how_often_a_job_comes_is_said_as_people_say_it():
    with speaking(GERMAN):
        said = [longer.rhythm(each) for each in (86_400, 3600, 60, 172_800, 300, 90)]
    assert said == [
        "jeden Tag",
        "jede Stunde",
        "jede Minute",
        "alle 2 Tage",
        "alle 5 min",
        "alle 90 s",
    ]


def test_the_use_of_a_sim_card_that_nobody_knows_is_not_a_card_without_limit():
    values = dict.fromkeys(assets.SimRow.__dataclass_fields__)
    card = assets.SimRow(**values | {"data_limit_mb": 500})
    with speaking(GERMAN):
        assert assets.use_look(card).word == "Verbrauch unbekannt, von 500 MB"
    assert assets.use_look(replace(card, data_used_mb=450)).mark == "warning"
    assert assets.use_look(replace(card, data_limit_mb=None)).word == "no limit"


@pytest.mark.parametrize(
    ("soak_s", "said"), [(5400, "90 min"), (86_400, "24 h"), (172_800, "2 days")]
)
def test_the_time_between_two_waves_is_said_as_it_was_set(soak_s, said):
    values = dict.fromkeys(firmware.BatchView.__dataclass_fields__)
    batch = firmware.BatchView(**values | {"soak_s": soak_s})
    assert firmware.between(batch) == f"the next begins by itself after {said}"


def test_a_change_names_its_fields_and_the_life_of_a_meter():
    after = {"life": "commissioned", "capture_period_s": 900, "life_support": False}
    before = dict.fromkeys(after)
    change = ChangeRow(1, "meter", "HES1", NOW, "ann", "commission", before, after, "")
    with speaking(GERMAN):
        assert assets.told(change) == [
            "Lebenslauf: – → in Betrieb genommen",
            "Erfassungsperiode, s: – → 900",
            "lebenserhaltende Geräte: – → nein",
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


def test_a_row_without_an_answer_is_not_called_failed():
    values = dict.fromkeys(firmware.BatchView.__dataclass_fields__)
    counts = {"confirmed": 5, "failed": 1, "expired": 1, "unknown": 2, "excluded": 4}
    found = batches.shares(firmware.BatchView(**values | {"counts": counts}))
    assert {each.state: each.count for each in found} == {
        "confirmed": 5, "failed": 2, "unknown": 2,
    }  # fmt: skip
