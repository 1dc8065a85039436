"""The name of the session cookie: where it travels encrypted, with the prefix of one host.

A browser takes a ``__Host-`` cookie from this very host alone, over TLS, for every path (RFC
6265bis, 4.1.3.2), so that no neighbour under the same domain can plant one.
"""

COOKIE = "hesper_session"
COOKIE_OF_HOST = f"__Host-{COOKIE}"
WHY = "hesper_why"
"""Why a log-in elsewhere led back to the sign-in page; shown there once."""


def is_secure(scheme: str, secure_cookies: bool) -> bool:
    """Says whether a connection is encrypted where the browser is, here or by a proxy."""
    return secure_cookies or scheme in ("https", "wss")


def cookie_name(secure: bool) -> str:
    """Returns the cookie's name on such a connection."""
    return COOKIE_OF_HOST if secure else COOKIE
