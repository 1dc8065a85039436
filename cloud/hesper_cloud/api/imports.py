"""Bulk import by CSV: templates, dry run, applying, rejected rows."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.api.paging import Paged, paged
from hesper_cloud.api.uploads import octets_of
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.csv_lines import MEDIA_TYPE
from hesper_cloud.imports.amounts import DateOrder, DecimalMark, Habits
from hesper_cloud.imports.columns import Existing, ImportKind
from hesper_cloud.imports.encodings import Encoding
from hesper_cloud.imports.sheets import MOST_OCTETS, Separator
from hesper_cloud.imports.trying import Brought
from hesper_cloud.services.import_records import ChangedRow, ImportView, RejectedRow
from hesper_cloud.services.imports import LONGEST_NAME, MOST_PROBLEMS
from hesper_cloud.services.sources import require

router = APIRouter(tags=["imports"])
ImportId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
FromRow = Annotated[int, Query(ge=0, le=10_000_000)]
RowsAtOnce = Annotated[int, Query(ge=1, le=MOST_PROBLEMS)]
SeparatorName = Literal["comma", "semicolon", "tab", "bar"]
_SEPARATORS: dict[SeparatorName, Separator] = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "bar": "|",
}
_MARKS: dict[str, DecimalMark] = {"point": ".", "comma": ","}
_PLACES: dict[ImportKind, str] = {
    "customers": "customers",
    "meters": "meters",
    "simcards": "sims",
    "simuse": "sims/use",
}
_FILE = {
    "requestBody": {
        "required": True,
        "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class HowToRead(BaseModel):
    """What is told about a file; whatever is not told is found out, or refused as ambiguous."""

    name: str = Field(default="file.csv", min_length=1, max_length=LONGEST_NAME)
    encoding: Encoding | None = None
    separator: SeparatorName | None = None
    dates: DateOrder | None = Field(default=None, description="Order of day, month and year")
    decimal: Literal["point", "comma"] | None = None
    existing: Existing = Field(
        default="refuse",
        description="Whether a row of something that is there is refused, or changes it",
    )
    apply: bool = Field(default=False, description="Apply the good rows at once, as a job")


class ImportList(BaseModel):
    """Files that were brought, newest first."""

    rows: list[ImportView]
    next: str | None


def _template(kind: ImportKind) -> Callable[..., Awaitable[Response]]:
    async def show(actor: Who, services: Have) -> Response:
        octets = services.imports.template(actor, kind)
        named = {"Content-Disposition": f'attachment; filename="{kind}.csv"'}
        return Response(octets, media_type=MEDIA_TYPE, headers=named)

    show.__doc__ = f"Gives out an empty CSV file with the columns of {kind}."
    return show


def _bring(kind: ImportKind) -> Callable[..., Awaitable[Response]]:
    async def bring(
        actor: Who, services: Have, request: Request, told: Annotated[HowToRead, Query()]
    ) -> Response:
        require(actor, Permission.EDIT_ASSETS)
        octets = await octets_of(request, MOST_OCTETS)
        separator = None if told.separator is None else _SEPARATORS[told.separator]
        decimal = None if told.decimal is None else _MARKS[told.decimal]
        habits = Habits(told.dates, decimal)
        brought = Brought(kind, told.name, octets, told.encoding, separator, habits, told.existing)
        found = await services.imports.try_file(actor, brought)
        if told.apply and found.good_count:
            found = await services.imports.apply(actor, found.id)
        return answer(found, 201)

    bring.__doc__ = (
        f"Tries a CSV file of {kind}: every problem by row and column, no change.\n\n"
        "``POST /imports/{import_id}/apply`` applies its good rows; so does ``apply`` here."
    )
    return bring


for _kind in get_args(ImportKind):
    router.add_api_route(
        f"/templates/{_kind}",
        _template(_kind),
        methods=["GET"],
        name=f"template_{_kind}",
        response_class=Response,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    router.add_api_route(
        f"/{_PLACES[_kind]}/import",
        _bring(_kind),
        methods=["POST"],
        name=f"import_{_kind}",
        response_model=ImportView,
        status_code=201,
        openapi_extra=_FILE,
    )


@router.get("/imports", response_model=ImportList)
async def imports(
    actor: Who, services: Have, request: Request, asked: Annotated[Paged, Query()]
) -> Response:
    """Lists files that were brought, newest first."""
    rows, following = await services.imports.page(actor, asked.asked())
    return paged(request, rows, following)


@router.get("/imports/{import_id}", response_model=ImportView)
async def one_import(actor: Who, services: Have, import_id: ImportId) -> Response:
    """Shows a file: what its dry run found, and how far its job has come."""
    return answer(await services.imports.get(actor, import_id))


@router.post("/imports/{import_id}/apply", response_model=ImportView, status_code=202)
async def apply(actor: Who, services: Have, import_id: ImportId) -> Response:
    """Applies the good rows of a file as one job that survives every interruption."""
    return answer(await services.imports.apply(actor, import_id), 202)


@router.get("/imports/{import_id}/problems", response_model=list[RejectedRow])
async def problems(
    actor: Who,
    services: Have,
    import_id: ImportId,
    offset: FromRow = 0,
    limit: RowsAtOnce = 100,
) -> Response:
    """Lists refused rows, each with all its problems: column, code, value, what to do."""
    return answer(await services.imports.rejected(actor, import_id, offset, limit))


@router.get("/imports/{import_id}/changes", response_model=list[ChangedRow])
async def changes(
    actor: Who,
    services: Have,
    import_id: ImportId,
    offset: FromRow = 0,
    limit: RowsAtOnce = 100,
) -> Response:
    """Lists good rows that change what is there: each field, from what, to what."""
    return answer(await services.imports.changes(actor, import_id, offset, limit))


@router.get("/imports/{import_id}/rejected.csv")
async def rejected(actor: Who, services: Have, import_id: ImportId) -> StreamingResponse:
    """Gives out the refused rows as CSV with a reason; corrected, it can be brought again."""
    name, octets = await services.imports.rejected_file(actor, import_id)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(octets, media_type=MEDIA_TYPE, headers=headers)
