"""Accounts, for admins; and what everybody changes of their own."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field, SecretStr

from hesper_cloud.accounts.roles import Permission, Role
from hesper_cloud.api.proven import Proven
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.account_records import UserRow

router = APIRouter(tags=["users"])
Name = Annotated[str, Path(max_length=64)]
Areas = Annotated[list[str], Field(max_length=200)] | None


class NewUser(Proven):
    """An account as it begins; the password and code are those of the admin who asks."""

    username: str = Field(min_length=1, max_length=64)
    role: Role
    areas: Areas = Field(default=None, description="None: everywhere")
    scopes: list[Permission] | None = Field(default=None, description="Of a service, no one else")
    email: str | None = Field(default=None, max_length=254)

    def change(self) -> dict[str, Any]:
        """Returns what the authority is asked for."""
        return self.model_dump(mode="json", include={"role", "areas", "scopes", "email"})


class UserChange(Proven):
    """What is to become different; what is left out stays."""

    role: Role | None = None
    areas: Areas = None
    scopes: list[Permission] | None = None
    email: str | None = Field(default=None, max_length=254)
    disabled: bool | None = None

    def change(self) -> dict[str, Any]:
        """Returns what is named; null is a value for areas, scopes and e-mail alone."""
        named = self.model_dump(
            mode="json", exclude={"password", "code"}, include=self.model_fields_set
        )
        never_null = {"role", "disabled"}
        return {
            name: value
            for name, value in named.items()
            if value is not None or name not in never_null
        }


class FirstPassword(BaseModel):
    """A first password, shown this one time; a service has none."""

    username: str
    password: str | None


class OwnPassword(Proven):
    """The present password, the code where there is a factor, and the new password."""

    new: SecretStr = Field(min_length=10, max_length=256)


@router.get("/users", response_model=list[UserRow])
async def users(actor: Who, services: Have) -> Response:
    """Lists accounts."""
    return answer(await services.members.all(actor))


@router.post("/users", response_model=FirstPassword, status_code=201)
async def create(actor: Who, services: Have, body: NewUser) -> Response:
    """Makes an account and shows its first password once."""
    made = await services.members.create(actor, body.username, body.change(), body.proof)
    return answer({"username": made.username, "password": made.password}, 201)


@router.get("/users/{username}", response_model=UserRow)
async def show(actor: Who, services: Have, username: Name) -> Response:
    """Shows an account."""
    return answer(await services.members.get(actor, username))


@router.patch("/users/{username}", response_model=UserRow)
async def change(actor: Who, services: Have, username: Name, body: UserChange) -> Response:
    """Changes role, areas, scopes, e-mail or state; what is open in its name ends at once."""
    return answer(await services.members.change(actor, username, body.change(), body.proof))


@router.post("/users/{username}/password", response_model=FirstPassword)
async def reset_password(actor: Who, services: Have, username: Name, body: Proven) -> Response:
    """Gives an account another first password; its sessions and tokens end."""
    made = await services.members.reset_password(actor, username, body.proof)
    return answer({"username": made.username, "password": made.password})


@router.post("/users/{username}/unlock", status_code=204)
async def unlock(actor: Who, services: Have, username: Name, body: Proven) -> Response:
    """Forgets the failed logins of an account."""
    await services.members.unlock(actor, username, body.proof)
    return Response(status_code=204)


@router.post("/users/{username}/factor/drop", status_code=204)
async def drop_factor(actor: Who, services: Have, username: Name, body: Proven) -> Response:
    """Takes a lost second factor away."""
    await services.members.drop_factor(actor, username, body.proof)
    return Response(status_code=204)


@router.get("/auth/account", response_model=UserRow)
async def own(actor: Who, services: Have) -> Response:
    """Shows one's own account."""
    return answer(await services.members.own(actor))


@router.put("/auth/password", status_code=204)
async def change_own(actor: Who, services: Have, body: OwnPassword) -> Response:
    """Changes one's own password; every session ends, this one too."""
    new = body.new.get_secret_value()
    await services.members.change_own_password(actor, body.proof, new)
    return Response(status_code=204)
