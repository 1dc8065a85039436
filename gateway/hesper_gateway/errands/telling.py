"""A recorded conversation in the words of the contract: explained, bounded, secrets left out.

Two fences. What the explanation does not show (a password, a challenge, keys) is not shown in the
octets either; where it cannot be found in them, as when it came in several frames, nothing that
this side has said so far shows its octets. Then whatever is left is searched for the meter's own
password and keys, as octets, as hex and as text.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

from hesper_contracts.conversation import (
    LINE_MAX,
    TEXT_MAX,
    Conversation,
    Utterance,
)

from hesper_gateway.explain import Explainer, to_lines
from hesper_gateway.lines.recording import Heard, Recorder
from hesper_gateway.sessions.clock import as_utc
from hesper_gateway.sessions.insight import Insight

HIDDEN = "**"
_LEAST = 4
"""Shorter secrets are found by what is said around them; as octets they are everywhere."""


class _Said:
    """One utterance while it is told; an octet that is not to be shown is None."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.octets: list[int | None] = list(heard.octets or b"")
        self.lines: list[str] = [heard.text] if heard.text else []

    def hide(self, secret: bytes) -> bool:
        """Hide a secret wherever it stands; whether it was there."""
        octets, at = self.heard.octets or b"", -1
        while secret and (at := octets.find(secret, at + 1)) >= 0:
            self.octets[at : at + len(secret)] = [None] * len(secret)
        return bool(secret) and secret in octets

    def hide_all(self) -> None:
        """Hide every octet."""
        self.octets = [None] * len(self.octets)

    def to_utterance(self, lines: list[str]) -> Utterance:
        """Return it as it travels."""
        return Utterance(
            at=as_utc(self.heard.at),
            what=self.heard.what,
            octets="".join(HIDDEN if each is None else f"{each:02x}" for each in self.octets),
            octet_count=self.heard.octet_count,
            says=tuple(lines),
        )


def tell(recorder: Recorder, insight: Insight) -> Conversation:
    """Return what was recorded."""
    said = [_Said(heard) for heard in recorder.heard]
    _explain(said, insight)
    for each in said:
        for secret in insight.secrets:
            if len(secret) >= _LEAST:
                each.hide(secret)
    room, is_cut = TEXT_MAX, False
    utterances = []
    for each in said:
        lines = list(_without(each.lines, insight.secrets))
        shown = _fitting(lines, room)
        is_cut |= shown != lines
        room -= sum(map(len, shown))
        utterances.append(each.to_utterance(shown))
    return Conversation(
        utterances=tuple(utterances),
        utterance_count=recorder.count,
        octets_sent=recorder.octets_sent,
        octets_received=recorder.octets_received,
        truncated=is_cut or recorder.is_full,
    )


def _explain(said: list[_Said], insight: Insight) -> None:
    ours = Explainer(insight.security, insight.client_system_title)
    theirs = Explainer(insight.security, insight.meter_system_title)
    for place, each in enumerate(said):
        octets = each.heard.octets
        if each.heard.what == "note":
            continue
        if octets is None:
            each.lines.append(
                f"{each.heard.octet_count} octets, not recorded: there is no more room"
            )
            continue
        explainer = ours if each.heard.what == "sent" else theirs
        each.lines += to_lines(explainer.explain(octets))
        theirs.keys = ours.keys  # the dedicated key comes with our AARQ
        for secret in list(explainer.hidden):
            if not each.hide(secret):
                for earlier in said[: place + 1]:
                    if earlier.heard.what == each.heard.what:
                        earlier.hide_all()


def _fitting(lines: list[str], room: int) -> list[str]:
    """Return the first lines, each as far as it may be long, that have room."""
    cut = [line[:LINE_MAX] for line in lines]
    ends = accumulate(map(len, cut))
    return [line for line, end in zip(cut, ends, strict=True) if end <= room]


def _without(lines: list[str], secrets: frozenset[bytes]) -> Iterator[str]:
    """Yield lines in which no secret is left, neither in hex nor as text."""
    patterns = [pattern for secret in secrets for pattern in _spelled(secret)]
    left_out = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None
    for line in lines:
        yield line if left_out is None else left_out.sub(HIDDEN, line)


def _spelled(secret: bytes) -> Iterator[str]:
    """Yield patterns of a secret in hex and, if it is text, as text; digits only when alone."""
    if len(secret) < _LEAST:
        return
    yield " ?".join(f"{octet:02x}" for octet in secret)
    if secret.isascii() and (text := secret.decode("ascii")).isprintable():
        is_hex = re.fullmatch("[0-9a-fA-F]+", text)
        yield rf"(?<![0-9A-Za-z]){text}(?![0-9A-Za-z])" if is_hex else re.escape(text)
