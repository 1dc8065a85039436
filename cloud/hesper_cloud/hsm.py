"""The command key in a hardware security module, over PKCS#11 (Cryptoki 3.0).

Theory of operation. To Hesper the key is an Ed25519 private key like one from a file; its octets
never leave the token. The token must offer CKM_EC_EDWARDS_KEY_PAIR_GEN and CKM_EDDSA: commands,
time answers and checkpoints are Ed25519 everywhere, and a token without that cannot hold the key (a
contract of another kind of key would have to be understood by every gateway first).

One session is held. Whatever breaks it (a module pulled, a daemon that restarted, a login that
timed out) ends in one more attempt with a new one; what fails then is `SigningUnavailable`, and
nothing was signed. A PIN that the token refuses is not shown again before a restart: tokens lock
themselves after a few. Two threads sign: one decides, one answers for the time.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hesper_cloud.settings import HsmSettings

Buffer: TypeAlias = "bytes | bytearray | memoryview[int]"

_EDWARDS25519 = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS: the object identifier 1.3.101.112 (RFC 8410)."""
_POINT_OCTETS = 32
_NO_LIBRARY = "a token needs the extra: pip install 'hesper[hsm]'"
_log = logging.getLogger(__name__)


class SigningUnavailable(Exception):
    """The token does not sign now, or cannot at all; the text says why, and holds no PIN."""


class KeyIsThere(SigningUnavailable):
    """The token has a key of this label; none is made beside it."""


class TokenKey(Ed25519PrivateKey):
    """A private key that lives in a token."""

    def __init__(self, settings: HsmSettings, pin: Callable[[], str]) -> None:
        """Opens the token and finds the key.

        Args:
            settings: Module, token and label of the key.
            pin: Reads the user's PIN; asked at each login.

        Raises:
            SigningUnavailable: no module, token or key of these names, or another PIN.
        """
        self._settings = settings
        self._pin = pin
        self._turn = threading.Lock()
        self._session: Any = None
        self._key: Any = None
        self._is_refused = False
        self._point = self._used(self._find_point)

    def sign(self, data: Buffer) -> bytes:
        """Returns the signature (64 octets).

        Raises:
            SigningUnavailable: not now; nothing was signed.
        """
        from pkcs11 import Mechanism

        octets = bytes(data)
        with self._turn:
            return self._used(lambda: bytes(self._key.sign(octets, mechanism=Mechanism.EDDSA)))

    def public_key(self) -> Ed25519PublicKey:
        """Returns the public half."""
        return Ed25519PublicKey.from_public_bytes(self._point)

    def private_bytes_raw(self) -> bytes:
        """Refuses: the key does not leave its token."""
        self._refuse()

    def private_bytes(self, *_: object, **__: object) -> bytes:
        """Refuses: the key does not leave its token."""
        self._refuse()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"TokenKey({self._settings.label!r})"

    def close(self) -> None:
        """Ends the session; the next signature opens another."""
        session, self._session, self._key = self._session, None, None
        if session is not None:
            _quietly(session.close)

    def _used(self, use: Callable[[], bytes]) -> bytes:
        try:
            return _once_more(self._open, use)
        except SigningUnavailable:
            self.close()
            raise

    def _open(self, *, afresh: bool) -> None:
        if self._key is not None and not afresh:
            return
        from pkcs11 import KeyType, ObjectClass, PinIncorrect, PinInvalid, PinLocked

        if self._is_refused:
            raise SigningUnavailable("the token has refused the PIN; mend it and start again")
        self.close()
        token, pin = _token(self._settings, afresh=afresh), self._pin()
        try:
            self._session = token.open(user_pin=pin)
        except (PinIncorrect, PinInvalid, PinLocked) as error:
            self._is_refused = True
            raise SigningUnavailable(_told(error)) from None
        self._key = self._session.get_key(
            object_class=ObjectClass.PRIVATE_KEY,
            key_type=KeyType.EC_EDWARDS,
            label=self._settings.label,
        )

    def _find_point(self) -> bytes:
        from pkcs11 import Attribute, KeyType, ObjectClass

        public = self._session.get_key(
            object_class=ObjectClass.PUBLIC_KEY,
            key_type=KeyType.EC_EDWARDS,
            label=self._settings.label,
        )
        return bytes(public[Attribute.EC_POINT])[-_POINT_OCTETS:]

    def _refuse(self) -> NoReturn:
        raise SigningUnavailable("the private key does not leave its token")


def make_key(settings: HsmSettings, pin: str) -> bytes:
    """Makes the key pair in the token, never to be extracted; returns the public half.

    Raises:
        KeyIsThere: a key of this label is.
        SigningUnavailable: the token cannot.
    """
    try:
        from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, PKCS11Error
    except ImportError:
        raise SigningUnavailable(_NO_LIBRARY) from None
    try:
        with _token(settings, afresh=False).open(rw=True, user_pin=pin) as session:
            named = {Attribute.LABEL: settings.label, Attribute.CLASS: ObjectClass.PRIVATE_KEY}
            if list(session.get_objects(named)):
                raise KeyIsThere(f"the token has a key {settings.label!r} already")
            domain = session.create_domain_parameters(
                KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _EDWARDS25519}, local=True
            )
            public, _ = domain.generate_keypair(
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=settings.label,
                private_template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.SIGN: True,
                },
            )
            return bytes(public[Attribute.EC_POINT])[-_POINT_OCTETS:]
    except PKCS11Error as error:
        raise SigningUnavailable(_told(error)) from None


def public_half(settings: HsmSettings, pin: str) -> bytes:
    """Returns the public half of the key that the token has.

    Raises:
        SigningUnavailable: the token has none, or does not open.
    """
    key = TokenKey(settings, lambda: pin)
    key.close()
    return key.public_key().public_bytes_raw()


def _token(settings: HsmSettings, *, afresh: bool) -> Any:
    import pkcs11

    library = pkcs11.lib(str(settings.module))
    if afresh:
        library.reinitialize()
    return library.get_token(token_label=settings.token)


def _once_more(open_: Callable[..., None], use: Callable[[], bytes]) -> bytes:
    """Uses an open session, and once more a new one when that breaks."""
    try:
        from pkcs11 import PKCS11Error
    except ImportError:
        raise SigningUnavailable(_NO_LIBRARY) from None
    try:
        open_(afresh=False)
        return use()
    except (PKCS11Error, RuntimeError) as error:
        _log.warning("%s; its session is opened anew", _told(error))
    try:
        open_(afresh=True)
        return use()
    except (PKCS11Error, RuntimeError) as error:
        raise SigningUnavailable(_told(error)) from None


def _quietly(close: Callable[[], None]) -> None:
    from pkcs11 import PKCS11Error

    try:
        close()
    except (PKCS11Error, RuntimeError):
        return


def _told(error: Exception) -> str:
    return f"the token says {type(error).__name__}{f': {error}' if str(error) else ''}"


def pin_of(path: Path) -> str:
    """Reads the PIN from its file.

    Raises:
        SigningUnavailable: the file cannot be read, is empty, or others may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise SigningUnavailable(f"{path}: others may read it; run: chmod 600 {path}")
        pin = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SigningUnavailable(f"{path}: {error.strerror}") from None
    if not pin:
        raise SigningUnavailable(f"{path}: the PIN is empty")
    return pin
