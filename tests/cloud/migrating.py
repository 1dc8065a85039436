"""Two processes that bring one database up to date at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor

from alembic import command
from hesper_cloud.db import migrate
from sqlalchemy import Engine, event


def upgrade_both(first: Engine, second: Engine) -> None:
    """Upgrades a registry by one engine while the other has begun to; ends when both have."""
    begins = threading.Event()
    event.listen(second, "begin", lambda _: begins.set(), insert=True)
    with ThreadPoolExecutor() as threads, migrate.changing(first) as connection:
        other = threads.submit(migrate.upgrade, second, "registry")
        assert begins.wait(60)
        command.upgrade(migrate.history("registry", connection), "head")
    other.result()
