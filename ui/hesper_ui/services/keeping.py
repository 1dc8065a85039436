"""What the pages ask of the cloud to keep what the company owns and serves."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hesper_ui.services.records import (
    Actor,
    AssetKind,
    AssetQuery,
    AssetRow,
    ChangeRow,
    ExchangeRow,
    ExchangeWish,
    Listed,
    MeterCard,
    PageAsked,
    RegisterRow,
    RegisterWish,
    SearchHit,
)


class Assets(Protocol):
    """Customers, SIM cards, meters and the rest, each with its history."""

    async def page(
        self, actor: Actor, kind: AssetKind, query: AssetQuery, asked: PageAsked | None, /
    ) -> Listed[AssetRow]: ...
    async def get(self, actor: Actor, kind: AssetKind, key: str | int, /) -> AssetRow: ...
    async def create(
        self, actor: Actor, kind: AssetKind, values: Mapping[str, Any], /
    ) -> AssetRow: ...
    async def change(
        self,
        actor: Actor,
        kind: AssetKind,
        key: str | int,
        values: Mapping[str, Any],
        version: int | None,
        /,
    ) -> AssetRow: ...
    async def delete(
        self, actor: Actor, kind: AssetKind, key: str | int, version: int | None, /
    ) -> None: ...
    async def history(
        self, actor: Actor, kind: AssetKind, key: str | int, before: int | None, limit: int, /
    ) -> Sequence[ChangeRow]: ...
    async def search(self, actor: Actor, text: str, each: int, /) -> Sequence[SearchHit]: ...


class MeterLife(Protocol):
    """Meters that go into service, or take another's place, and what their registers showed."""

    async def commission(
        self, actor: Actor, meter: str, first: RegisterWish | None, /
    ) -> MeterCard: ...
    async def exchange(
        self, actor: Actor, meter: str, wish: ExchangeWish, version: int | None, /
    ) -> ExchangeRow: ...
    async def exchanges(self, actor: Actor, meter: str, /) -> Sequence[ExchangeRow]: ...
    async def registers(self, actor: Actor, meter: str, /) -> Sequence[RegisterRow]: ...
