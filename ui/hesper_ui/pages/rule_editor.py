"""The form in which a rule is written; no page of its own."""

from collections.abc import Sequence
from typing import Any

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry
from hesper_ui.elements import Text, box, button, panel
from hesper_ui.pages.rule_trial import Trial
from hesper_ui.services import RuleDefinition, RuleRow, ServiceError
from hesper_ui.services.answering import answered
from hesper_ui.views import rule_form
from hesper_ui.views.condition_words import threshold_name
from hesper_ui.views.looks import SEVERITIES
from hesper_ui.views.rule_form import FIELDS, KINDS, SCOPE, Field
from hesper_ui.views.wording import number_said, number_text, sentence
from hesper_ui.words import later

_WRITTEN = [kind for kind in KINDS if kind != "built-in"]
_SCOPE_HINT = later("empty: all; names may have *, those with a comma stand in quotes")
_TEXT_HINT = "{subject} {title} {value} {limit} {unit} {since} {count} {code} {place}"
Lines = dict[str, ui.input | ui.select]


class Editor:
    """One rule's form; it also gives what it says to the trial beside it."""

    def __init__(
        self, desk: Desk, row: RuleRow | None, stored: dict[str, Any] | None, trial: Trial
    ) -> None:
        self._desk, self._row, self._stored = desk, row, stored or {}
        condition = self._stored.get("condition", {})
        self._kind = str(condition.get("kind", "built-in" if row and row.built_in else "threshold"))
        self._lines: Lines = {}
        self._condition: Lines = {}
        self._scope: Lines = {}
        trial.of(self.said)

    def draw(self, may: bool) -> None:
        """Draws the form; without the permission it only shows."""
        if self._kind == "built-in":
            with panel("What it says"), box("div", "form-grid"):
                self._thresholds()
        else:
            self._written()
        with panel("Next version"), box("div", "stack"):
            self._note = entry("Why it is changed", lambda: None)
            self._complaint = Text("", "p", "complaint", role="alert")
            if may:
                with box("div", "actions"):
                    button("Save as the next version", self._save, "primary", acts=True)

    def _written(self) -> None:
        with panel("What it says"):
            self._words()
        with panel("Condition"):
            self._kinds = choice("Condition", _WRITTEN, self._change_kind, KINDS).mark("rule-kind")
            self._kinds.value = self._kind
            self._fields = box("div", "form-grid")
            self._draw_condition(self._stored.get("condition"))
        with panel("Which meters", _SCOPE_HINT), box("div", "form-grid"):
            self._scope = _lines(SCOPE, self._stored.get("scope"))

    def _words(self) -> None:
        with box("div", "form-grid"):
            if self._row is None:
                self._lines["id"] = entry("Name (small letters, digits, dashes)", lambda: None)
                self._lines["id"].mark("rule-id")
            self._lines["title"] = entry("Title", lambda: None).mark("rule-title")
            severities = {name: look.word for name, look in SEVERITIES.items()}
            self._lines["severity"] = choice("Severity", list(severities), lambda: None, severities)
            self._lines["text"] = entry("Text of the alert", lambda: None)
            late = entry("What is late counts for, s (empty: 1 h, of events 7 days)", lambda: None)
            self._lines["fresh_s"] = late.mark("rule-fresh-s")
        self._lines["title"].value = self._stored.get("title", "")
        self._lines["severity"].value = self._stored.get("severity", "warning")
        self._lines["text"].value = self._stored.get("text", "{title}: {value} {unit}")
        self._lines["fresh_s"].value = str(self._stored.get("fresh_s") or "")
        Text(_TEXT_HINT, "p", "meta")

    def _change_kind(self) -> None:
        wanted = str(self._kinds.value or self._kind)
        if wanted != self._kind and self._condition:
            self._kind = wanted
            self._draw_condition(None)

    def _draw_condition(self, stored: dict[str, Any] | None) -> None:
        self._fields.clear()
        with self._fields:
            self._condition = _lines(FIELDS[self._kind], stored)

    def _thresholds(self) -> None:
        for each in self._row.thresholds if self._row else ():
            unit = f" ({each.unit})" if each.unit else ""
            line = entry(threshold_name(each.name) + unit, lambda: None)
            line.value = number_text(each.value)
            self._condition[each.name] = line.mark(f"rule-{each.name.replace('_', '-')}")

    def said(self) -> RuleDefinition:
        """Returns what the form says.

        Raises:
            Invalid: it is no rule; the text says which field.
        """
        if self._kind == "built-in" and self._row is not None:
            said = _texts(self._condition)
            thresholds = {name: number_said(text) for name, text in said.items()}
            document: dict[str, Any] = {
                "title": self._row.title,
                "severity": self._row.severity,
                "condition": {"kind": "built-in", "thresholds": thresholds},
            }
        else:
            document = rule_form.document(
                _texts(self._lines), self._kind, _texts(self._condition), _texts(self._scope)
            )
        return self._desk.services.rules.understood(document)

    async def _save(self) -> None:
        self._complaint.text = ""
        name = self._row.id if self._row else str(self._lines["id"].value or "").strip()
        version = self._row.version if self._row else 0
        try:
            with answered():
                actor, said = await self._desk.actor(), self.said()
                note = str(self._note.value or "")
                saved = await self._desk.services.rules.save(actor, name, said, note, version)
        except ServiceError as refusal:
            self._complaint.text = sentence(refusal)
            return
        ui.navigate.to(f"/rules/{name}?version={saved.version}")


def _lines(fields: Sequence[Field], stored: dict[str, Any] | None) -> Lines:
    lines: Lines = {}
    for name, text in rule_form.texts(fields, stored).items():
        field = next(each for each in fields if each.name == name)
        if field.options is not None:
            lines[name] = choice(field.label, list(field.options), lambda: None, field.options)
        else:
            lines[name] = entry(field.label, lambda: None)
        lines[name].value = text or (field.usual if field.options else "")
        lines[name].mark(f"rule-{name.replace('_', '-')}")
    return lines


def _texts(lines: Lines) -> dict[str, str]:
    return {name: str(line.value or "") for name, line in lines.items()}
