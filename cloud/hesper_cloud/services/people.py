"""Which accounts there are, for what is given to a person."""

from sqlalchemy import Engine, select

from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import reading


def is_known(authority: Engine, username: str) -> bool:
    """Says whether there is an account of this name that is not disabled."""
    query = select(User.username).where(User.username == username, User.disabled.is_(False))
    with reading(authority) as session:
        return session.scalar(query) is not None


def names(authority: Engine) -> list[str]:
    """Returns the names of the accounts of people that are not disabled."""
    query = select(User.username).where(User.disabled.is_(False), User.role != "service")
    with reading(authority) as session:
        return list(session.scalars(query.order_by(User.username)))
