"""AES-GCM of the cryptography package in place of gurux's own.

gurux's AES is written in Python: a day of a ciphered profile takes it a quarter of a second. It
deciphers by the call that enciphers, and so never compares the tag that it was given: a changed
answer passes. Here the tag is verified.
"""

import sys
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from gurux_dlms.GXDLMSChipperingStream import GXDLMSChipperingStream

_TAG_OCTETS = 12
_USED_IN = "gurux_dlms.GXDLMSChippering"


class Stream(GXDLMSChipperingStream):  # type: ignore[misc]
    """The stream that gurux ciphers and deciphers through, by its names."""

    def __init__(
        self, security: Any, encrypt: bool, key: Any, authenticated: Any, iv: Any, tag: Any
    ) -> None:
        del security, encrypt  # it says "encrypt" for both; the tag tells them apart
        self.tag = tag
        mode = GCM(bytes(iv), bytes(tag) if tag else None, _TAG_OCTETS)
        cipher = Cipher(AES(bytes(key)), mode)
        self._stream: Any = cipher.decryptor() if tag else cipher.encryptor()
        self._stream.authenticate_additional_data(bytes(authenticated))
        self._octets = b""

    def write(self, octets: Any) -> None:
        """Encrypt or decrypt."""
        self._octets += self._stream.update(bytes(octets))

    def flushFinalBlock(self) -> bytes:  # noqa: N802 - its name
        """Return the octets; make the tag, or verify the one that was given."""
        try:
            octets: bytes = self._octets + self._stream.finalize()
        except InvalidTag as error:
            raise ValueError("the tag is wrong") from error
        if not self.tag:
            self.tag = bytearray(self._stream.tag[:_TAG_OCTETS])
        return octets


def replace() -> None:
    """Put it in place of gurux's own; LookupError where this release has none to replace."""
    module = sys.modules[_USED_IN]
    if getattr(module, "GXDLMSChipperingStream", None) is not GXDLMSChipperingStream:
        raise LookupError(f"{_USED_IN} has no cipher that could be replaced")
    module.GXDLMSChipperingStream = Stream  # type: ignore[attr-defined]
