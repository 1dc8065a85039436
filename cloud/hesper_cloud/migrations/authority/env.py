"""Alembic's environment for the authority database; the connection comes from the caller."""

from alembic import context
from hesper_cloud.db.authority import AuthorityBase
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=AuthorityBase.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
