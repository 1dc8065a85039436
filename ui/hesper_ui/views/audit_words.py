"""The audit log in words: what was done, to what, and how it was before and after.

The log keeps codes, and programs go by them; what people wrote is shown as it came.
"""

import json

from hesper_ui.services import AuditEntry
from hesper_ui.views import batches, plans
from hesper_ui.views.looks import COMMAND_KINDS, COMMAND_STATES, ROLES, command_kind
from hesper_ui.words import later, say

ACTIONS = {
    "account.check": later("proof of a person for something else"),
    "account.external": later("sign-in by an outside provider"),
    "alarm": later("alarm about decisions"),
    "alert.acknowledge": later("acknowledgement of an alert"),
    "alert.assign": later("alert given to somebody"),
    "alert.note": later("note on an alert"),
    "alert.shelve": later("shelving of an alert"),
    "alert.unshelve": later("alert taken off the shelf"),
    "asset.create": later("new entry in the registry"),
    "asset.delete": later("deletion of an entry in the registry"),
    "asset.restore": later("restoring of an entry in the registry"),
    "asset.update": later("change of an entry in the registry"),
    "audit.note": later("note in the audit log"),
    "backfill.request": later("request to read again"),
    "batch.abort": later("abort of a batch"),
    "batch.approve": later("approval of a batch"),
    "batch.pause": later("pause of a batch"),
    "batch.propose": later("proposal of a batch"),
    "batch.reject": later("rejection of a batch"),
    "batch.release": later("release of a held batch"),
    "batch.resume": later("resumption of a batch"),
    "batch.retry": later("repetition of what failed in a batch"),
    "break_glass": later("emergency: without a second person"),
    "break_glass.review": later("review of an emergency"),
    "ca.init": later("new certificate authority"),
    "ca.install": later("certificate of the issuing authority"),
    "certificate.issue": later("issue of a certificate"),
    "certificate.refused": later("refused renewal of a certificate"),
    "certificate.request": later("request for a certificate"),
    "certificate.revoke": later("revocation of a certificate"),
    "command.approve": later("approval of a command"),
    "command.break_glass": later("emergency: without a second person"),
    "command.cancel": later("withdrawal of a command"),
    "command.reject": later("rejection of a command"),
    "command.release": later("release of a held command"),
    "command.request": later("request for a command"),
    "database.back": later("database taken back to an earlier version"),
    "delivery.route_change": later("change of a route for alerts"),
    "delivery.route_make": later("new route for alerts"),
    "delivery.route_remove": later("removal of a route for alerts"),
    "delivery.target_change": later("change of a destination for alerts"),
    "delivery.target_make": later("new destination for alerts"),
    "delivery.target_remove": later("removal of a destination for alerts"),
    "delivery.test": later("trial of a destination for alerts"),
    "disconnect.refused": later("refused disconnect"),
    "factor.enrol": later("new second factor"),
    "factor.recovery": later("sign-in by a recovery code"),
    "factor.remove": later("removal of a second factor"),
    "firmware.activation": later("activation of an image"),
    "firmware.campaign": later("firmware campaign"),
    "gateway.broker_password": later("password of a gateway at the broker"),
    "gateway.enrol": later("enrolment of a gateway"),
    "gateway.keep": later("kept configuration of a gateway"),
    "gateway.key": later("key of a gateway"),
    "gateway.revoke": later("exclusion of a gateway"),
    "gateway.token": later("token for the enrolment of a gateway"),
    "image.add": later("new firmware image"),
    "image.announce": later("announcement of a firmware image"),
    "image.changelog": later("what is new in an image"),
    "image.shown": later("what a person was shown of an image"),
    "import.apply": later("application of an import"),
    "job.cancel": later("cancellation of a job"),
    "job.resume": later("resumption of a job"),
    "keys.current": later("proof that a meter has its new keys"),
    "keys.import": later("bringing of meter keys"),
    "keys.kept": later("proof that a meter keeps its old keys"),
    "keys.pending": later("new keys for a meter"),
    "keys.put": later("keys of a meter"),
    "keys.rotate_master": later("change of the master key"),
    "kill_switch.engage": later("stopping of all commands"),
    "kill_switch.lift": later("release of the kill switch"),
    "kill_switch.lift_asked": later("request to release the kill switch"),
    "login": later("sign-in"),
    "login.refused": later("refused sign-in"),
    "meter.commission": later("commissioning of a meter"),
    "meter.erase": later("erasure of readings"),
    "meter.exchange": later("exchange of a meter"),
    "meter.install": later("installation of a meter"),
    "meter.protect": later("protection of a supply"),
    "meter.remove": later("removal of a meter"),
    "password.change": later("change of the own password"),
    "password.refused": later("wrong password"),
    "person.erase": later("erasure of a person's data"),
    "person.export": later("export of a person's data"),
    "policy.activate": later("policy put in force"),
    "reading.edit": later("edit of a reading"),
    "reading.edit.withdraw": later("edit of a reading taken back"),
    "report-schedule.add": later("new schedule of a report"),
    "report-schedule.change": later("change of a report's schedule"),
    "report-schedule.remove": later("end of a report's schedule"),
    "request.refused": later("refused request"),
    "result.refused": later("refused result of a gateway"),
    "rule.delete": later("deletion of a rule"),
    "rule.edit": later("change of a rule"),
    "rule.state": later("rule switched on or off"),
    "schedule.assign": later("assignment of a schedule"),
    "schedule.take_back": later("assignment of a schedule taken back"),
    "schedule.version": later("new version of a schedule"),
    "series.bring": later("values of a series from outside"),
    "session.end": later("end of a session"),
    "template.assign": later("assignment of a template"),
    "template.take_back": later("assignment of a template taken back"),
    "template.version": later("new version of a template"),
    "token.create": later("new token for a program"),
    "token.revoke": later("revocation of a program's token"),
    "topology.set": later("change of the grid's topology"),
    "user.change": later("change of an account"),
    "user.create": later("new account"),
    "user.disable": later("disabling of an account"),
    "user.factor.drop": later("removal of an account's second factor"),
    "user.link": later("account linked with an outside provider"),
    "user.password": later("new first password for an account"),
    "user.set": later("account set by command line"),
    "user.unlock": later("unlocking of an account"),
}
"""What was done, and what may be asked for; steps of commands and batches are called by states."""
_STEPS = {"command": later("command: {state}"), "batch": later("batch: {state}")}
_STATES = {"command": COMMAND_STATES, "batch": batches.STATES}
_ASSIGNED = frozenset({"schedule.assign", "template.assign"})
_VALUES = {
    "disabled": later("disabled"),
    "engaged": later("engaged"),
    "life support": later("life support"),
    "none": later("none"),
    "off": later("off"),
    "revoked": later("revoked"),
    "unreviewed": later("not reviewed yet"),
    **{role: role for role in ROLES},
}


def action(code: str) -> str:
    """Returns what was done, in words; a code that is not known as it stands."""
    what, _, state = code.partition(".")
    if code in ACTIONS:
        return say(ACTIONS[code])
    states = _STATES.get(what, {})
    return say(_STEPS[what], state=say(states[state].word)) if state in states else code


def subject(row: AuditEntry) -> str:
    """Returns what an entry is about; the kind of a command in words."""
    kind, space, rest = row.subject.partition(" ")
    if row.action.startswith("login") and kind == "from":
        return say("from {address}", address=rest)
    return f"{command_kind(kind)}{space}{rest}" if kind in COMMAND_KINDS else row.subject


def value(row: AuditEntry, text: str | None) -> str | None:
    """Returns how something was or became: states, roles and codes in words."""
    if text is None:
        return None
    if row.action in _ASSIGNED:
        return _whom(text)
    states = _STATES.get(row.action.partition(".")[0], {})
    state, space, rest = text.partition(" ")
    if state in states:
        return f"{say(states[state].word)}{space}{rest}"
    if text in _VALUES:
        return say(_VALUES[text])
    return action(text) if row.action == "request.refused" else text


def _whom(text: str) -> str:
    try:
        return plans.whom(json.loads(text))
    except ValueError:  # of a version that wrote it otherwise
        return text


def why(text: str | None) -> str | None:
    """Returns the reason; one that a service gave in the operator's language."""
    return say(text) if text and " " in text else text
