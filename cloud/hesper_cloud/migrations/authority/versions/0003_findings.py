"""What a command has found, and a second person for calendars where a policy was stored before."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CALENDAR = "tariff.calendar"
_BEFORE = frozenset({"relay.disconnect", "relay.reconnect", "relay.read"})
_policies = sa.table("policies", sa.column("name", sa.String), sa.column("document", sa.JSON))


def upgrade() -> None:
    op.add_column("commands", sa.Column("findings", sa.JSON(), nullable=True))
    _change_policies(lambda kinds: sorted({*kinds, _CALENDAR}))


def downgrade() -> None:
    _change_policies(lambda kinds: sorted(_BEFORE.intersection(kinds)))
    op.drop_column("commands", "findings")


def _change_policies(change: Callable[[list[str]], list[str]]) -> None:
    """Changes whose kinds ask for two people; a document that names none has the default."""
    bind = op.get_bind()
    for name, document in bind.execute(sa.select(_policies)).all():
        if "four_eyes" in document:
            changed = document | {"four_eyes": change(document["four_eyes"])}
            one = sa.update(_policies).where(_policies.c.name == name)
            bind.execute(one.values(document=changed))
