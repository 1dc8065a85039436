"""The routes that every kind of asset has: list, add, show, change, delete, restore, history.

They are made for a kind out of its bodies and records, so that all kinds answer alike: a resource's
``ETag`` begins with its version, a change may say ``If-Match``, a deletion is soft where a restore
is offered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import create_model

from hesper_cloud.api.asset_bodies import AssetsAsked, Body
from hesper_cloud.api.paging import paged
from hesper_cloud.api.versions import WantedVersion, versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.asset_records import AssetKind, ChangeRow

LARGEST_ID = 2**31 - 1
Before = Annotated[int | None, Query(ge=1, le=2**53, description="Changes before this number")]
Most = Annotated[int, Query(ge=1, le=500)]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of asset over HTTP.

    ``address`` is the list's path and the name of the parameter behind it; ``types`` are the record
    that is answered and the bodies of a new one and of a change. Of a kind that ``is_kept`` a
    deletion can be taken back.
    """

    kind: AssetKind
    address: tuple[str, str]
    types: tuple[type[Any], type[Body], type[Body]]
    asked: type[AssetsAsked] = AssetsAsked
    is_number: bool = False  # what names one
    is_kept: bool = False
    is_listed: bool = True  # here, and not elsewhere
    is_shown: bool = True

    @property
    def path(self) -> str:
        """The list's path."""
        return self.address[0]

    def key_type(self) -> Any:
        """Returns the type of the path's parameter."""
        if self.is_number:
            return Annotated[int, Path(alias=self.address[1], ge=1, le=LARGEST_ID)]
        return Annotated[str, Path(alias=self.address[1], max_length=64)]


def add_routes(router: APIRouter, resource: Resource) -> None:
    """Adds a kind's routes to a router."""
    one = f"{resource.path}/{{{resource.address[1]}}}"
    record: Any = resource.types[0]
    if resource.is_listed:
        page = create_model(
            f"{record.__name__}s", rows=(list[record], ...), next=(str | None, None), total=(int, 0)
        )
        _add(router, "GET", resource.path, _lister(resource), page)
    _add(router, "POST", resource.path, _creator(resource), record, 201)
    if resource.is_shown:
        _add(router, "GET", one, _shower(resource), record)
    _add(router, "PATCH", one, _changer(resource), record)
    _add(router, "DELETE", one, _deleter(resource), None, 204)
    if resource.is_kept:
        _add(router, "POST", one + "/restore", _restorer(resource), record)
    _add(router, "GET", one + "/history", _historian(resource), list[ChangeRow])


def _add(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    model: Any,
    status: int = 200,
) -> None:
    router.add_api_route(path, endpoint, methods=[method], response_model=model, status_code=status)


def shown(record: Any, status: int = 200) -> Response:
    """Answers with one asset; its tag begins with its version."""
    response = answer(record, status)
    version = getattr(record, "version", None)
    return response if version is None else versioned(response, version)


def _lister(resource: Resource) -> Callable[..., Any]:
    asked_type: Any = resource.asked

    async def listing(
        actor: Who, services: Have, request: Request, asked: Annotated[asked_type, Query()]
    ) -> Response:
        found = await services.assets.page(actor, resource.kind, asked.query(), asked.asked())
        return paged(request, found.rows, found.next, total=found.total)

    return _said(listing, f"Lists {resource.path[1:]}: search, filter, sort, page by page.")


def _creator(resource: Resource) -> Callable[..., Any]:
    new_type: Any = resource.types[1]

    async def create(actor: Who, services: Have, body: new_type) -> Response:
        row = await services.assets.create(actor, resource.kind, body.said())
        return shown(row, 201)

    return _said(create, f"Adds a {resource.kind}.")


def _shower(resource: Resource) -> Callable[..., Any]:
    key_type: Any = resource.key_type()

    async def show(actor: Who, services: Have, key: key_type) -> Response:
        return shown(await services.assets.get(actor, resource.kind, key))

    return _said(show, f"Shows one {resource.kind}.")


def _changer(resource: Resource) -> Callable[..., Any]:
    key_type: Any = resource.key_type()
    change_type: Any = resource.types[2]

    async def change(
        actor: Who, services: Have, key: key_type, body: change_type, version: WantedVersion
    ) -> Response:
        said = body.said()
        return shown(await services.assets.change(actor, resource.kind, key, said, version))

    return _said(change, f"Changes fields of a {resource.kind}; null empties one.")


def _deleter(resource: Resource) -> Callable[..., Any]:
    key_type: Any = resource.key_type()

    async def delete(actor: Who, services: Have, key: key_type, version: WantedVersion) -> Response:
        await services.assets.delete(actor, resource.kind, key, version)
        return Response(status_code=204)

    return _said(delete, f"Deletes a {resource.kind} that nothing uses; its history stays.")


def _restorer(resource: Resource) -> Callable[..., Any]:
    key_type: Any = resource.key_type()

    async def restore(actor: Who, services: Have, key: key_type) -> Response:
        return shown(await services.assets.restore(actor, resource.kind, key))

    return _said(restore, f"Takes the deletion of a {resource.kind} back.")


def _historian(resource: Resource) -> Callable[..., Any]:
    key_type: Any = resource.key_type()

    async def history(
        actor: Who, services: Have, key: key_type, before: Before = None, limit: Most = 100
    ) -> Response:
        return answer(await services.assets.history(actor, resource.kind, key, before, limit))

    return _said(history, f"Lists the changes of a {resource.kind}, newest first.")


def _said(endpoint: Callable[..., Any], words: str) -> Callable[..., Any]:
    endpoint.__doc__ = words
    return endpoint
