"""Whether an image is for a meter as it is: its type, and the firmware that it has now."""

from hesper_contracts import manifest
from hesper_contracts.firmware import TransferFirmware
from hesper_contracts.versions import at_least

from hesper_gateway.errors import Hop, MeterRefused
from hesper_gateway.sessions.identity import Identity


def check_fits(image: TransferFirmware, identity: Identity) -> None:
    """Compare what was signed of an image with who the meter is now.

    Raises:
        MeterRefused: the image is for others, or the meter runs it already.
    """
    if (
        image.manifest is not None
        and manifest.contents(image.manifest).version == identity.firmware
    ):
        raise MeterRefused(f"the meter runs {identity.firmware!r} already", Hop.GATEWAY)
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
