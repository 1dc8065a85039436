"""Why a service says no, cut by what the caller should do.

ServiceError
├── LoginRefused      show the reason; wait ``retry_after_s`` before the next try
│   └── CodeNeeded    ask for the code of the second factor
├── NotAuthenticated  log in again
├── NotPermitted      this role may not; nothing to retry
├── NotFound          no such thing
├── Invalid           the question itself is wrong; say which part
├── Gone              what it asks about was replaced; ``start_again_from`` says where to go on
├── Stale             somebody else changed it in between; fetch it again and decide anew
├── TooLarge          send less at once
├── Busy              wait ``retry_after_s`` and send it again
├── Refused           policy or state forbids it; show the reason
└── Unavailable       a part that is needed does not answer; try again later
"""


class ServiceError(Exception):
    """A service did not do what was asked; the text is fit for a person to read."""


class LoginRefused(ServiceError):
    """Wrong name or password, a disabled account, or too many tries."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class CodeNeeded(LoginRefused):
    """The password fits; the account has a second factor, and its code is missing."""


class NotAuthenticated(ServiceError):
    """No token, or one that is expired, revoked or not ours."""


class NotPermitted(ServiceError):
    """The actor's role does not allow this."""


class NotFound(ServiceError):
    """There is no such meter, command, alert, …"""


class Invalid(ServiceError):
    """The request makes no sense as it stands."""


class Gone(ServiceError):
    """A place in the change feed of a store that was replaced."""

    def __init__(self, reason: str, start_again_from: str) -> None:
        super().__init__(reason)
        self.start_again_from = start_again_from


class Stale(ServiceError):
    """The caller's `If-Match` names a version that is not the present one."""


class TooLarge(ServiceError):
    """More at once than is taken."""


class Busy(ServiceError):
    """This caller asks too much, or too many ask at once."""

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Refused(ServiceError):
    """Policy or the present state forbids it."""


class Unavailable(ServiceError):
    """A part that is needed (the authority, the store) does not answer now."""
