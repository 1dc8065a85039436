"""What ``./hesper`` tells the command that it starts."""

import os
import time

_TYPED_AT = "HESPER_STARTED_AT"


def is_launched() -> bool:
    """Tell whether ``./hesper`` was typed, and not the command itself."""
    return _TYPED_AT in os.environ


def typed_at() -> float:
    """Return when it was typed, in epoch seconds; now where it was not."""
    return float(os.environ.get(_TYPED_AT, time.time()))
