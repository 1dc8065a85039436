"""Whether an image is for a meter as it is: its type, and the firmware that it has now.

Makers write versions as they like. Two are compared only where the text around the numbers is the
same, so that a V2 of one product line never counts as later than a 1.9 of another.
"""

import re

from hesper_contracts.firmware import TransferFirmware

from hesper_gateway.errors import Hop, MeterRefused
from hesper_gateway.sessions.identity import Identity

_NUMBER = re.compile(r"\d+")


def check_fits(image: TransferFirmware, identity: Identity) -> None:
    """Compare what was signed of an image with who the meter is now.

    Raises:
        MeterRefused: the image is for others.
    """
    if image.hardware is not None and image.hardware != identity.model:
        raise MeterRefused(
            f"the image is for {image.hardware!r}, the meter is {identity.model!r}", Hop.GATEWAY
        )
    minimum = image.minimum_version
    if minimum is not None and not at_least(identity.firmware, minimum):
        raise MeterRefused(
            f"the image needs {minimum!r} or later, the meter has {identity.firmware!r}",
            Hop.GATEWAY,
        )


def at_least(version: str, minimum: str) -> bool | None:
    """Return whether a version is a minimum or later; None when the two cannot be compared."""
    if _words(version) != _words(minimum):
        return None
    return _numbers(version) >= _numbers(minimum)


def _words(version: str) -> list[str]:
    """Return the text around the numbers, which may be more or fewer in a later version."""
    return [word for word in _NUMBER.split(version.strip()) if word.strip(".")]


def _numbers(version: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(version)]
