"""The ciphering of one association, from the meter's side.

An answer is protected the way its request was: service-specific or general, with the global or the
dedicated key. The counters taken from a client are kept with the meter and outlive the association;
those of a dedicated key die with it.
"""

from __future__ import annotations

from dataclasses import replace

from hesper_dlms.apdu import Ciphered
from hesper_dlms.errors import SecurityError
from hesper_dlms.security import (
    ReceivedCounters,
    SecurityContext,
    SecuritySettings,
    prove,
    verify,
)
from hesper_dlms.server.model import LogicalServer


class ReplayedCounter(SecurityError):
    """A request's invocation counter is not higher than the last; `expected` would be."""

    def __init__(self, expected: int) -> None:
        super().__init__("the invocation counter was used before")
        self.expected = expected


class ServerCiphering:
    """Protects and checks what goes between a meter and one client.

    Args:
        server: The meter, which owns the counters.
        settings: The meter's keys.
        client_title: The client's system title.
        required: Whether every APDU must be ciphered; otherwise the keys serve HLS alone.
    """

    __slots__ = ("_client_title", "_contexts", "_dedicated", "_server", "_settings", "required")

    def __init__(
        self,
        server: LogicalServer,
        settings: SecuritySettings,
        client_title: bytes,
        required: bool,
    ) -> None:
        self._server = server
        self._settings = settings
        self._client_title = client_title
        self._contexts: dict[tuple[bool, bool], SecurityContext] = {}
        self._dedicated: ReceivedCounters = {}
        self.required = required

    def use_dedicated_key(self, key: bytes) -> None:
        """Accept the key that the client sent in its InitiateRequest; LocalError if malformed."""
        self._settings = replace(self._settings, dedicated_key=key)
        self._contexts.clear()

    def unprotect(self, request: Ciphered) -> bytes:
        """Return the plain APDU inside a request that was taken apart.

        Raises:
            ReplayedCounter: The counter is not higher than the last one taken.
            SecurityError: Anything else that is wrong.
        """
        if not request.dedicated:
            last = self._server.last_counter_of(self._client_title)
            if request.invocation_counter <= last:
                raise ReplayedCounter(last + 1)
        return self._context(request).open_ciphered(request).apdu

    def protect(self, plain: bytes, request: Ciphered) -> bytes:
        """Return the answer ciphered as its request was."""
        counter = self._server.next_counter()
        return self._context(request).protect(plain, counter, dedicated=request.dedicated)

    def challenge_met(self, proof: bytes, challenge: bytes) -> bool:
        """Return whether `proof` is the client's f(challenge)."""
        try:
            verify(self._settings, self._client_title, proof, challenge)
        except SecurityError:
            return False
        return True

    def meet_challenge(self, challenge: bytes) -> bytes:
        """Return the meter's f(challenge)."""
        title = self._server.objects.system_title
        return prove(self._settings, title, self._server.next_counter(), challenge)

    def _context(self, request: Ciphered) -> SecurityContext:
        form = request.system_title is not None, request.dedicated
        context = self._contexts.get(form)
        if context is None:
            context = self._contexts[form] = SecurityContext(
                replace(self._settings, general=form[0]),
                self._server.objects.system_title,
                self._client_title,
                self._dedicated if request.dedicated else self._server.received_counters,
            )
        return context
