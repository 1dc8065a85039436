"""A SIM's PIN is tried once: three wrong ones lock it, and somebody must drive there.

Each try is written down before it is made. One that was refused is never made again, not after a
restart either, until what stands in the file with the PIN has changed; one whose outcome a crash
has hidden is made once more, so that two of the three tries are spent at most. A file that was only
written again is the same: deployments do that, and service managers that hand over credentials do
it at every start. What is written down of a PIN that was accepted is deleted.

A file's content is known by a digest of what the gateway's own key signs of it: the digest alone of
four digits would tell them to whoever reads the database. With another key nothing noted is known
any more, which is one try.
"""

import re
from hashlib import sha256
from pathlib import Path

from hesper_gateway.errors import ConfigError
from hesper_gateway.lines.at import SimUnusable
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.secrets_files import load_password, load_signer

_PIN = re.compile(r"[0-9]{4,8}")
_DOMAIN = b"SIM PIN"
_UNKNOWN_ONCE, _UNKNOWN_TWICE, _REFUSED = "tried", "tried twice", "refused"


class SimPin:
    """The PIN of one modem's SIM.

    Args:
        modem: The modem's name.
        path: The file with the PIN; None where the SIM asks for none.
        key: The file with the gateway's own key.
        ledger: Where tries are written down.
    """

    def __init__(self, modem: str, path: Path | None, key: Path, ledger: Ledger) -> None:
        self._name = f"sim-pin/{modem}"
        self._path = path
        self._key = key
        self._ledger = ledger
        self._tried = ""

    async def take(self) -> str:
        """Return the PIN for one try, which is written down.

        Raises:
            SimUnusable: there is none, or no further try may be made with it.
            DialLimit: the try cannot be written down.
        """
        try:
            pin = load_password(self._path)
            self._tried = stamp = self._stamp()
        except ConfigError as error:
            raise SimUnusable(str(error)) from error
        if pin is None or _PIN.fullmatch(pin) is None:
            raise SimUnusable("the SIM asks for its PIN: a pin_file with digits is needed, 4 to 8")
        before = self._ledger.noted(self._name)
        if before in {f"{stamp} {_REFUSED}", f"{stamp} {_UNKNOWN_TWICE}"}:
            raise SimUnusable(
                f"its PIN was refused before; correct {self._path}, or if it is right because "
                "the SIM is another now, add a line below it"
            )
        again = before == f"{stamp} {_UNKNOWN_ONCE}"
        await self._ledger.note(self._name, f"{stamp} {_UNKNOWN_TWICE if again else _UNKNOWN_ONCE}")
        return pin

    async def refused(self) -> None:
        """Write down that the try was refused."""
        await self._ledger.note(self._name, f"{self._tried} {_REFUSED}")

    async def accepted(self) -> None:
        """Write down that the PIN is right."""
        if self._ledger.noted(self._name):
            await self._ledger.note(self._name, "")

    def _stamp(self) -> str:
        """Return what tells one content of the file from another, and nobody what it is."""
        if self._path is None:
            return ""
        signed = load_signer(self._key).sign(_DOMAIN, self._path.read_bytes())
        return sha256(signed).hexdigest()
