"""`hesper-cloud batch …`: batches from a terminal, by the REST of a head end that runs.

Whoever calls logs in with their own account, so role, areas, second factor and every check of web
process and authority are those of the person, and what they do is audited in their name. Approving
is not here: it belongs to a second person who looks at the list.
"""

import json
import ssl
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import httpx
import typer

from hesper_cloud.client_answers import refusal
from hesper_cloud.provision import ProvisioningError

batch = typer.Typer(no_args_is_help=True)

HERE = "http://127.0.0.1:18080"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT_S = 60.0
_CHUNK = 1 << 16
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit log.")]


@dataclass(frozen=True, slots=True)
class Way:
    """How a person comes in; passwords and codes are asked for when they are needed."""

    url: str
    user: str
    factor: bool
    authority: Path | None

    @contextmanager
    def open(self) -> "Iterator[_Door]":
        """Logs in, and out at the end.

        Raises:
            ProvisioningError: no way there, or a no.
        """
        url = httpx.URL(f"{self.url.rstrip('/')}/api/v1")
        if not self.user:
            raise ProvisioningError("name your account: --user, or HESPER_USER")
        if url.scheme != "https" and url.host not in _LOOPBACK:
            raise ProvisioningError(f"{self.url}: a password goes elsewhere by https alone")
        trust = ssl.create_default_context(cafile=self.authority)
        try:
            with httpx.Client(base_url=url, timeout=_TIMEOUT_S, verify=trust) as client:
                asked = {"username": self.user, **self.proof("password")}
                token = _checked(client.post("/auth/login", json=asked)).json()["token"]
                client.headers["Authorization"] = f"Bearer {token}"
                try:
                    yield _Door(client)
                finally:
                    client.post("/auth/logout")
        except httpx.HTTPError as error:
            raise ProvisioningError(f"{self.url}: {error}") from None

    def proof(self, what: str) -> dict[str, str]:
        """Asks for a password and, where wanted, a code; a code is good once."""
        proof = {"password": typer.prompt(f"{self.user}'s {what}", hide_input=True, err=True)}
        if self.factor:
            proof["code"] = typer.prompt("a code that was not used yet", err=True)
        return proof


@batch.callback()
def way(
    context: typer.Context,
    user: Annotated[
        str, typer.Option("--user", "-u", envvar="HESPER_USER", help="Your account.")
    ] = "",
    url: Annotated[
        str, typer.Option(envvar="HESPER_URL", help="The head end, as a browser reaches it.")
    ] = HERE,
    second_factor: Annotated[
        bool, typer.Option("--second-factor", help="Ask for a code of your second factor, too.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(help="The certificate that the head end's is signed by.")
    ] = None,
) -> None:
    """Batches of commands, by an account of your own on a head end that runs."""
    context.obj = Way(url, user, second_factor, ca)


@batch.command("list")
def list_(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "",
) -> None:
    """Lists batches, newest first: id, state, kind, who asked, rows by state."""
    with context.obj.open() as door:
        for one in door.get("", **({"state": state} if state else {})):
            typer.echo(
                f"{one['id']}  {one['state']:18} {one['kind']:18} {one['requester']:12} "
                f"{_counted(one['counts'])}"
            )


@batch.command()
def show(context: typer.Context, batch_id: str) -> None:
    """Shows one batch as JSON: terms, hash, who asked and approved, rows by state."""
    with context.obj.open() as door:
        typer.echo(json.dumps(door.get(f"/{batch_id}"), indent=2, ensure_ascii=False))


@batch.command()
def rows(
    context: typer.Context,
    batch_id: str,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="A file that is not yet.")] = None,
) -> None:
    """Writes every row with its result as CSV, to the terminal or into a file."""
    with context.obj.open() as door:
        if out is None:
            door.copy(f"/{batch_id}/rows.csv", sys.stdout.buffer)
            return
        with out.open("xb") as file:
            door.copy(f"/{batch_id}/rows.csv", file)
    typer.echo(f"written to {out}", err=True)


@batch.command()
def abort(context: typer.Context, batch_id: str, reason: Reason) -> None:
    """Ends a batch for good: what has not been signed never leaves."""
    with context.obj.open() as door:
        _tell(door.post(f"/{batch_id}/abort", {"reason": reason}))


@batch.command()
def pause(context: typer.Context, batch_id: str, reason: Reason) -> None:
    """Holds a batch: what has not been signed is taken back and waits."""
    with context.obj.open() as door:
        _tell(door.post(f"/{batch_id}/pause", {"reason": reason}))


@batch.command()
def resume(context: typer.Context, batch_id: str, reason: Reason) -> None:
    """Lets a held batch go on, into its next wave where one is over; an approver, by password."""
    with context.obj.open() as door:
        seen = door.get(f"/{batch_id}")
        typer.echo(
            f"{seen['kind']} for {sum(seen['counts'].values())} meters, asked by "
            f"{seen['requester']}: {seen['reason']}\n{_counted(seen['counts'])}; {seen['detail']}",
            err=True,
        )
        proof = context.obj.proof("password once more, to let it go on")
        stood = {"digest": seen["digest"], "stood_at": seen["updated_at"]}
        body = {"reason": reason, **stood, **proof}
        _tell(door.post(f"/{batch_id}/resume", body))


class _Door:
    """A person who is logged in; every refusal is told in the head end's own words."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: str) -> Any:
        return _checked(self._client.get(f"/batches{path}", params=query)).json()

    def post(self, path: str, body: dict[str, str]) -> Any:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return _checked(self._client.post(f"/batches{path}", json=body, headers=key)).json()

    def copy(self, path: str, target: IO[bytes]) -> None:
        with self._client.stream("GET", f"/batches{path}") as answer:
            if answer.is_error:
                answer.read()
            for octets in _checked(answer).iter_bytes(_CHUNK):
                target.write(octets)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        why = refusal(answer)
        raise ProvisioningError(why or f"{answer.status_code} {answer.reason_phrase}")
    return answer


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _tell(now: dict[str, Any]) -> None:
    typer.echo(f"{now['id']} is {now['state']}: {_counted(now['counts'])}")
