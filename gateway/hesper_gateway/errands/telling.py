"""A recorded conversation in the words of the contract: explained, bounded, secrets left out.

Two fences. What the explanation does not show (a password, a challenge, keys) is not shown in the
octets either. Where it cannot be found in them, because it came in several frames, none of these
shows its octets, and neither do frames of an APDU that never became whole. Then whatever is left is
searched for the meter's own password and keys: octets for either half of them too, as a frame that
noise has altered holds, words for the hex and the text of them.
"""

import re
from collections.abc import Iterator
from itertools import accumulate

from hesper_contracts.conversation import LINE_MAX, TEXT_MAX, Conversation, Utterance
from hesper_dlms.security import SecuritySettings

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


class _Side:
    """What one side has said, explained in order."""

    def __init__(self, keys: SecuritySettings | None, title: bytes | None) -> None:
        self.explainer = Explainer(keys, title)
        self._together: list[_Said] = []
        """Parts of one APDU, as far as it has come."""

    def hear(self, said: _Said) -> None:
        """Explain what comes next, and hide what the explanation does not show."""
        self._together.append(said)
        said.lines += to_lines(self.explainer.explain(said.heard.octets or b""))
        if not all(said.hide(secret) for secret in self.explainer.hidden):
            self.hide_parts()
        if not self.explainer.unfinished:
            self._together.clear()

    def hide_parts(self) -> None:
        """Hide the octets of an APDU of which nobody can tell where its secret stands."""
        for each in self._together:
            each.hide_all()


def tell(recorder: Recorder, insight: Insight) -> Conversation:
    """Return what was recorded."""
    said = [_Said(heard) for heard in recorder.heard]
    _explain(said, insight)
    pieces = {piece for secret in insight.secrets for piece in _halves(secret)}
    room, is_cut = TEXT_MAX, False
    utterances = []
    for each in said:
        for piece in pieces:
            each.hide(piece)
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
    ours = _Side(insight.security, insight.client_system_title)
    theirs = _Side(insight.security, insight.meter_system_title)
    for each in said:
        if each.heard.octets is None:
            count = each.heard.octet_count
            each.lines.append(f"{count} octets, not recorded: there is no more room")
        elif each.heard.what == "sent":
            ours.hear(each)
            theirs.explainer.keys = ours.explainer.keys  # the dedicated key comes with our AARQ
        elif each.heard.what == "received":
            theirs.hear(each)
    ours.hide_parts()
    theirs.hide_parts()


def _halves(secret: bytes) -> set[bytes]:
    """Return every half of a secret, so that one of which an octet differs is found too."""
    size = max(_LEAST, (len(secret) + 1) // 2)
    return {secret[at : at + size] for at in range(len(secret) - size + 1)}


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
