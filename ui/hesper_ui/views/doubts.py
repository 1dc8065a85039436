"""What is doubtful about a reading, and why readings are missing, in words."""

from hesper_contracts.quality import Quality

_WORDS = {
    Quality.CLOCK_DOUBTFUL: "meter clock doubtful",
    Quality.CLOCK_INVALID: "meter clock invalid",
    Quality.TIME_ASSUMED: "time assumed",
    Quality.TIME_FAR_OFF: "time far off",
    Quality.OUT_OF_RANGE: "out of range",
    Quality.OUT_OF_ORDER: "out of order",
    Quality.ROLLOVER: "register rolled over",
    Quality.CONFLICTING: "conflicting versions",
    Quality.REPORTED_INVALID: "reported invalid",
    Quality.ESTIMATED: "estimated",
    Quality.EDITED: "edited",
}
_CAUSES = {
    "silent meter": "the meter did not answer",
    "gateway offline": "the gateway was offline",
    "line": "the whole line was silent",
    "unknown": "cause not known yet",
}


def quality(flags: int) -> str:
    """Names the flags of a reading; empty when nothing is doubtful."""
    known = [words for flag, words in _WORDS.items() if flags & flag]
    return ", ".join(known) or ("doubtful" if flags else "")


def cause(of_gap: str) -> str:
    """Says why captures are missing."""
    return _CAUSES.get(of_gap, of_gap)
