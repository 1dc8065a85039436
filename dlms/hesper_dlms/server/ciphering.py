"""The ciphering of one association, from the meter's side.

An answer is protected the way its request was: service-specific or general, with the global or the
dedicated key, or by general-ciphering and general-signing. The counters taken from a client are
kept with the meter and outlive the association; those of a dedicated key die with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias, TypeGuard

from hesper_dlms.apdu import Ciphered, GeneralCiphering, GeneralSigning, IdentifiedKey
from hesper_dlms.apdu.general_ciphering import GLOBAL_UNICAST_KEY
from hesper_dlms.association import CIPHERING_OVERHEAD, LAYERS_OVERHEAD
from hesper_dlms.errors import SecurityError
from hesper_dlms.security import ReceivedCounters, SecurityContext, SecuritySettings
from hesper_dlms.security.gcm import LAST_COUNTER
from hesper_dlms.security.protection import Protection
from hesper_dlms.security.settings import BROADCAST_KEY
from hesper_dlms.server.model import LogicalServer

Protected: TypeAlias = Ciphered | GeneralCiphering | GeneralSigning
PROTECTED = (Ciphered, GeneralCiphering, GeneralSigning)


class ReplayedCounter(SecurityError):
    """A request's invocation counter is not higher than the last; `expected` would be.

    Where the last of all was taken there is none: `expected` stays at it, until the key changes.
    """

    def __init__(self, expected: int) -> None:
        super().__init__("the invocation counter was used before")
        self.expected = expected


class ServerCiphering:
    """Protects and checks what goes between a meter and one client.

    Args:
        server: The meter, which owns the counters.
        settings: The meter's keys.
        client_title: The client's system title.
    """

    __slots__ = (
        "_by_tag",
        "_client_title",
        "_contexts",
        "_dedicated",
        "_protection",
        "_server",
        "_settings",
    )

    def __init__(
        self, server: LogicalServer, settings: SecuritySettings, client_title: bytes
    ) -> None:
        self._server = server
        self._settings = settings
        self._client_title = client_title
        self._contexts: dict[tuple[bool, bool], SecurityContext] = {}
        self._by_tag: dict[int, SecurityContext] = {}
        self._dedicated: ReceivedCounters = {}
        self._protection: Protection | None = None

    @property
    def overhead(self) -> int:
        """Octets that protecting may add to an answer, as far as this association shows."""
        layers = self._protection is not None or self._settings.signed
        return CIPHERING_OVERHEAD + (LAYERS_OVERHEAD if layers else 0)

    def use_dedicated_key(self, key: bytes) -> None:
        """Accept the key that the client sent in its InitiateRequest; LocalError if malformed."""
        self._settings = replace(self._settings, dedicated_key=key)
        self._contexts.clear()
        self._by_tag.clear()

    def unprotect(self, request: Protected, octets: bytes) -> bytes:
        """Return the plain APDU inside `octets`, which `request` is taken apart.

        Raises:
            ReplayedCounter: The counter is not higher than the last one taken.
            SecurityError: Anything else that is wrong.
        """
        context = self._context(request)
        if _counted(request):
            last = context.last_received()
            if request.invocation_counter <= last:
                raise ReplayedCounter(min(last + 1, LAST_COUNTER))
        if isinstance(request, Ciphered):
            opened = context.open_ciphered(request)
        else:
            opened = context.layers.open(octets)
        self._protection = opened.protection
        return opened.apdu

    def protect(self, plain: bytes, request: Protected) -> bytes:
        """Return the answer protected as its request was."""
        counter = self._server.next_counter()
        dedicated = isinstance(request, Ciphered) and request.dedicated
        return self._context(request).protect(
            plain, counter, dedicated=dedicated, protection=self._protection
        )

    def _context(self, request: Protected) -> SecurityContext:
        context = self._by_tag.get(request.tag) if isinstance(request, Ciphered) else None
        if context is None:
            context = self._make_context(request)
            if isinstance(request, Ciphered):
                self._by_tag[request.tag] = context
        return context

    def _make_context(self, request: Protected) -> SecurityContext:
        form = (True, False)
        if isinstance(request, Ciphered):
            form = request.system_title is not None, request.dedicated
        context = self._contexts.get(form)
        if context is None:
            context = self._contexts[form] = SecurityContext(
                replace(self._settings, general=form[0], protection=None),
                self._server.objects.system_title,
                self._client_title,
                self._dedicated if form[1] else self._server.received_counters,
            )
        return context


def _counted(request: Protected) -> TypeGuard[Ciphered | GeneralCiphering]:
    """Whether the counter is one of the global unicast key, and known before it is opened."""
    if isinstance(request, Ciphered):
        return not request.dedicated and not request.security_control & BROADCAST_KEY
    if isinstance(request, GeneralSigning):
        return False
    return request.key_info in (None, IdentifiedKey(GLOBAL_UNICAST_KEY))
