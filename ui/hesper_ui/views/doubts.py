"""What is doubtful about a reading, and why readings are missing, in words."""

from hesper_contracts.quality import Quality

from hesper_ui.words import later, say

_WORDS = {
    Quality.CLOCK_DOUBTFUL: later("meter clock doubtful"),
    Quality.CLOCK_INVALID: later("meter clock invalid"),
    Quality.TIME_ASSUMED: later("time assumed"),
    Quality.TIME_FAR_OFF: later("time far off"),
    Quality.OUT_OF_RANGE: later("out of range"),
    Quality.OUT_OF_ORDER: later("out of order"),
    Quality.ROLLOVER: later("register rolled over"),
    Quality.CONFLICTING: later("conflicting versions"),
    Quality.REPORTED_INVALID: later("reported invalid"),
    Quality.ESTIMATED: later("estimated"),
    Quality.EDITED: later("edited"),
    Quality.FOREIGN_GATEWAY: later("kept apart: sent by another gateway"),
}
_CAUSES = {
    "silent meter": later("the meter did not answer"),
    "gateway offline": later("the gateway was offline"),
    "line": later("the whole line was silent"),
    "broker": later("the broker was away, or readings waited for it"),
    "store": later("the store of readings was away"),
    "association": later("the meter refused the association"),
    "meter refuses": later("the meter refused to be read"),
    "meter reports none": later("the meter has none, as its gateway signed"),
    "unknown": later("cause not known yet"),
}


def quality(flags: int) -> str:
    """Names the flags of a reading; empty when nothing is doubtful."""
    known = [say(words) for flag, words in _WORDS.items() if flags & flag]
    return ", ".join(known) or (say("doubtful") if flags else "")


def cause(of_gap: str) -> str:
    """Says why captures are missing."""
    return say(_CAUSES.get(of_gap, of_gap))
