"""Whether an image is for a meter as it is: its type, and the firmware that it has now."""

from hesper_contracts import manifest
from hesper_contracts.firmware import TransferFirmware
from hesper_contracts.versions import at_least

from hesper_gateway.errors import Hop, MeterRefused
from hesper_gateway.sessions.identity import Identity


def check_fits(image: TransferFirmware, identity: Identity) -> None:
    """Compare what was signed of an image with who the meter is now.

    Raises:
        MeterRefused: the image is for others, older than what the meter runs, or running already.
    """
    if image.manifest is not None:
        version = manifest.contents(image.manifest).version
        if version == identity.firmware:
            raise MeterRefused(f"the meter runs {identity.firmware!r} already", Hop.GATEWAY)
        check_not_older(version, identity.firmware)
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


def check_not_older(version: str, running: str) -> None:
    """Compare a version with the one that a meter runs.

    Raises:
        MeterRefused: it is an earlier one of the same maker's; who wants it back signs it anew,
            under a later version.
    """
    if at_least(version, running) is False:
        raise MeterRefused(
            f"the image {version!r} is older than {running!r}, which the meter runs", Hop.GATEWAY
        )
