"""What the pages ask of the cloud about people: accounts, sessions, tokens of programs."""

from collections.abc import Sequence
from typing import Any, Protocol

from hesper_cloud.accounts.roles import granted
from hesper_cloud.services.account_records import (
    NewPassword,
    NewToken,
    SessionRow,
    TokenOrder,
    TokenRow,
    UserRow,
)

from hesper_ui.services.records import Actor, Proof

__all__ = [
    "ApiTokens",
    "Members",
    "NewPassword",
    "NewToken",
    "SessionRow",
    "Sessions",
    "TokenOrder",
    "TokenRow",
    "UserRow",
    "granted",
]


class Members(Protocol):
    """Accounts; every change of one is proved by the password of who asks."""

    async def all(self, actor: Actor, /) -> Sequence[UserRow]: ...
    async def own(self, actor: Actor, /) -> UserRow: ...
    async def create(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof, /
    ) -> NewPassword: ...
    async def change(
        self, actor: Actor, username: str, change: dict[str, Any], proof: Proof, /
    ) -> UserRow: ...
    async def reset_password(self, actor: Actor, username: str, proof: Proof, /) -> NewPassword: ...
    async def unlock(self, actor: Actor, username: str, proof: Proof, /) -> None: ...
    async def drop_factor(self, actor: Actor, username: str, proof: Proof, /) -> None: ...
    async def change_own_password(self, actor: Actor, proof: Proof, new: str, /) -> None: ...


class Sessions(Protocol):
    """Browser sessions that are open."""

    async def list(
        self, actor: Actor, token: str = "", /, *, of_all: bool = False
    ) -> Sequence[SessionRow]: ...
    async def end(self, actor: Actor, session: str, /) -> None: ...


class ApiTokens(Protocol):
    """Tokens of programs; a secret is shown once."""

    async def list(self, actor: Actor, /, *, of_all: bool = False) -> Sequence[TokenRow]: ...
    async def create(self, actor: Actor, order: TokenOrder, proof: Proof, /) -> NewToken: ...
    async def revoke(self, actor: Actor, token: str, /) -> None: ...
