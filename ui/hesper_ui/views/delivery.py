"""Delivery in words: where a target is, what a route lets through; and forms read back."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from hesper_ui.services import Invalid
from hesper_ui.services.alerting import (
    Email,
    Mqtt,
    QuietHours,
    RoutePolicy,
    RouteRow,
    TargetRow,
    Webhook,
)
from hesper_ui.views.lists import parted
from hesper_ui.views.looks import SEVERITIES, Look
from hesper_ui.words import later, say

KINDS = {
    "email": later("Mail"),
    "webhook": later("Webhook"),
    "mqtt": later("MQTT, our own broker"),
}
SECURITY = {
    "starttls": later("STARTTLS"),
    "tls": later("TLS from the start"),
    "none": later("none, without password"),
}
STATES = {
    "sent": Look("done", "delivered"),
    "waiting": Look("working", "waiting"),
    "held": Look("stopped", "held while people work"),
    "muted": Look("stopped", "muted"),
    "expired": Look("warning", "given up"),
    "testing": Look("working", "being tried"),
}
MESSAGES = {"alert": later("Alert"), "digest": later("Digest"), "test": later("Test")}


def place(target: TargetRow) -> str:
    """Says where a target is, in words that hold no secret."""
    config = target.config
    if target.kind == "email":
        return say(
            "{people} by {host}", people=", ".join(config["recipients"]), host=config["host"]
        )
    return str(config["url"]) if target.kind == "webhook" else say("below cloud/alerts")


def health(target: TargetRow) -> Look:
    """Returns how a target fares."""
    if not target.enabled:
        return Look("stopped", "switched off")
    if target.failures:
        return Look("warning", "fails")
    if target.succeeded_at is None:
        return Look("unknown", "not tried yet")
    return Look("normal", "takes messages")


def wishes(route: RouteRow) -> str:
    """Says in one line which alerts a route lets through, and when."""
    policy = RoutePolicy.model_validate(route.policy)
    level = say(SEVERITIES[policy.min_severity].word)
    parts = [say("{level} and worse", level=level)]
    parts += [", ".join(some) for some in (policy.rules, policy.areas, policy.gateways) if some]
    if policy.quiet is not None:
        begin, end = f"{policy.quiet.begin:%H:%M}", f"{policy.quiet.end:%H:%M}"
        parts.append(say("quiet {begin} to {end}", begin=begin, end=end))
    return " · ".join(parts)


def config(kind: str, said: Mapping[str, str]) -> Email | Webhook | Mqtt:
    """Reads the form of a target.

    Raises:
        Invalid: something in it makes no sense.
    """
    try:
        if kind == "webhook":
            return Webhook(kind="webhook", url=said["url"].strip())
        if kind == "email":
            return Email.model_validate(
                {
                    "kind": "email",
                    "host": said["host"].strip(),
                    "port": said["port"].strip(),
                    "security": said["security"],
                    "username": said["username"].strip(),
                    "sender": said["sender"].strip(),
                    "recipients": parted(said["recipients"]),
                }
            )
        return Mqtt(kind="mqtt")
    except ValidationError as wrong:
        raise Invalid(first(wrong)) from None


def policy(said: Mapping[str, str]) -> RoutePolicy:
    """Reads the form of a route.

    Raises:
        Invalid: something in it makes no sense.
    """
    try:
        quiet = None
        if said["begin"].strip() or said["end"].strip():
            quiet = QuietHours.model_validate(
                {"begin": said["begin"], "end": said["end"], "zone": said["zone"].strip() or "UTC"}
            )
        return RoutePolicy.model_validate(
            {
                "min_severity": said["severity"],
                "rules": parted(said["rules"]),
                "areas": parted(said["areas"]),
                "quiet": quiet,
                "digest_above": said["digest"].strip() or "5",
            }
        )
    except ValidationError as wrong:
        raise Invalid(first(wrong)) from None


def first(wrong: ValidationError) -> str:
    """Returns what is wrong first, without repeating what was written."""
    problem: Any = wrong.errors()[0]
    place_ = ".".join(str(part) for part in problem["loc"])
    text = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place_}: {text}" if place_ else text
