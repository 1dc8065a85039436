"""The firmware commands of one gateway: which can be carried out, and by whom."""

from hesper_contracts import firmware
from hesper_contracts.commands import Command
from hesper_contracts.firmware import ActivateFirmware, TransferFirmware
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Keyring

from hesper_gateway.execution import Report
from hesper_gateway.firmware.activation import Activation
from hesper_gateway.firmware.order import Means, Order, both
from hesper_gateway.firmware.transfer import Transfer
from hesper_gateway.sessions import MeterSession, Permit


class Firmware:
    """Carries out firmware commands; after a restart by running them again.

    Args:
        means: What they work with.
        release_keys: Two of them must have signed an image's manifest.
    """

    def __init__(self, means: Means, release_keys: Keyring) -> None:
        self._means = means
        self._release_keys = release_keys

    def objection(
        self, session: MeterSession, command: Command, wanted: TransferFirmware | ActivateFirmware
    ) -> str | None:
        """Return why a command can never be carried out; None when it can."""
        if session.template.objects.image_transfer is None:
            return f"{command.meter} takes no firmware images"
        try:
            firmware.check(wanted, command.image_hash, self._release_keys)
        except Refused as refusal:
            return str(refusal)
        quota = self._means.downloads.store.quota_octets
        match wanted:
            case TransferFirmware(size=size) if size > quota:
                return f"the image has {size} octets, this gateway has room for {quota}"
            case ActivateFirmware(at=at) if at is not None and at > command.not_after:
                return "the activation lies after the end of the command"
        return None

    async def run(
        self,
        session: MeterSession,
        command: Command,
        wanted: TransferFirmware | ActivateFirmware,
        permit: Permit,
    ) -> Report:
        """Carry a command out, from where the meter stands.

        Raises:
            CommandExpired: by ``permit`` or by the image's own date; nothing was done.
            MeterFailed: nothing was done, told by hop.
        """
        name, image_hash = command.logical_device_name, command.image_hash or ""
        permit = both(permit, wanted.not_after, self._means.now)
        if isinstance(wanted, TransferFirmware):
            bringing = Order(session, name, image_hash, wanted, permit)
            return await Transfer(self._means, bringing).run()
        activating = Order(session, name, image_hash, wanted, permit)
        return await Activation(self._means, activating).run()
