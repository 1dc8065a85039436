"""Backups on a schedule: made, rehearsed, aged out, and alarmed when they are too old.

The command line cannot open the embedded store while the head end runs; it leaves a row that asks
for a backup, and this makes it. A disk may hang: nothing touches one within a transaction.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hesper_cloud.backup import postgres
from hesper_cloud.backup.making import make
from hesper_cloud.backup.manifest import NAME as MANIFEST
from hesper_cloud.backup.manifest import BackupError, Manifest, files_of
from hesper_cloud.backup.restoring import restore
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Backup
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import DatabaseSettings, Settings, StoreSettings
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.worded import later, worded

AGE, REHEARSAL = Subject("backup-age"), Subject("backup-rehearsal")
GONE = Subject("backup-gone")
RESTORED = "restored"
_TRY_AGAIN = timedelta(minutes=15)
_SCRATCH = "rehearsal-"
_FAILURES_KEPT = 100
_ROOM = 4  # tables unpack to more than their copies; what was restored is then compared


class BackupKeeping:
    """Implements the schedule of `BackupSettings`; `turn` blocks as long as a backup takes."""

    def __init__(
        self,
        settings: Settings,
        store: ReadingStore,
        registry: Engine,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._store = store
        self._registry = registry
        self._clock = clock
        self._alerts = Alerts(registry)

    def turn(self) -> None:
        """Makes what is asked for or due, rehearses, lets old ones go, and judges the age."""
        for backup_id, folder in self._asked():
            self._make(backup_id, Path(folder))
        wanted = self._settings.backup
        if wanted.folder is None:
            return
        self._miss(wanted.folder, timedelta(hours=wanted.every_hours / 2))
        if self._is_due(timedelta(hours=wanted.every_hours)):
            self._make(ask(self._registry, wanted.folder, self._clock()), wanted.folder)
        self._rehearse(timedelta(hours=wanted.rehearse_every_hours))
        self._let_go(wanted.folder, wanted.keep)
        self._forget_failures()
        self._judge_age(timedelta(hours=wanted.alarm_after_hours))

    def _asked(self) -> list[tuple[int, str]]:
        query = select(Backup.id, Backup.folder).where(Backup.state == "asked")
        with reading(self._registry) as session:
            return [(row.id, row.folder) for row in session.execute(query)]

    def _make(self, backup_id: int, parent: Path) -> None:
        try:
            folder, manifest = make(self._settings, self._store, parent, self._clock())
            octets = sum(path.stat().st_size for path in files_of(folder))
        except (BackupError, OSError) as error:
            with writing(self._registry) as session:
                row = session.get_one(Backup, backup_id)
                row.state, row.reason = "failed", str(error)
            return
        with writing(self._registry) as session:
            row = session.get_one(Backup, backup_id)
            row.state, row.folder, row.contents = "made", str(folder), manifest.contents
            row.octets, row.made_at = octets, datetime.fromisoformat(manifest.made_at)

    def _miss(self, parent: Path, lasting: timedelta) -> None:
        """Notices backups that are gone from their folder: they are none, and one is due.

        The alert ends when one that was made since has lain there for some time.
        """
        rows = self._made(parent)
        gone = {row.id: why for row in rows if (why := _why_gone(Path(row.folder))) is not None}
        now = self._clock()
        if gone:
            with writing(self._registry) as session:
                for backup_id, why in gone.items():
                    row = session.get_one(Backup, backup_id)
                    row.state, row.reason = "failed", why
            words = later("{count} backups are gone from {folder}: is its disk there?")
            text = worded(words, count=len(gone), folder=parent)
            self._alerts.raise_(GONE, "critical", text, at=now)
        elif any(now - row.made_at >= lasting for row in rows):
            self._alerts.clear(GONE, at=now)

    def _made(self, parent: Path) -> list[Backup]:
        """Returns the backups that are in a folder, newest first, whatever the clock said."""
        query = select(Backup).where(Backup.state == "made").order_by(Backup.id.desc())
        with reading(self._registry) as session:
            return [row for row in session.scalars(query) if Path(row.folder).parent == parent]

    def _is_due(self, every: timedelta) -> bool:
        now = self._clock()
        with reading(self._registry) as session:
            made, failed = _newest(session, "made", now), _newest(session, "failed", now)
        lately = failed is not None and now - failed.made_at < _TRY_AGAIN
        return (made is None or now - made.made_at >= every) and not lately

    def _rehearse(self, every: timedelta) -> None:
        now = self._clock()
        with reading(self._registry) as session:
            newest = _newest(session, "made", now)
            query = select(Backup.rehearsed_at).order_by(Backup.rehearsed_at.desc())
            last = session.scalars(query.where(Backup.rehearsed_at <= now)).first()
        if newest is None or newest.rehearsed_at is not None:
            return
        if last is not None and now - last < every:
            return
        outcome = rehearse(Path(newest.folder), self._settings)
        with writing(self._registry) as session:
            row = session.get_one(Backup, newest.id)
            row.rehearsed_at, row.rehearsal = now, outcome
        if outcome == RESTORED:
            self._alerts.clear(REHEARSAL, at=now)
        else:
            words = later("The backup {folder} cannot be restored: {outcome}")
            text = worded(words, folder=newest.folder, outcome=outcome)
            self._alerts.raise_(REHEARSAL, "critical", text, at=now)

    def _let_go(self, parent: Path, keep: int) -> None:
        old = self._made(parent)[keep:]
        for row in old:
            shutil.rmtree(row.folder, ignore_errors=True)
        if old:
            with writing(self._registry) as session:
                session.execute(delete(Backup).where(Backup.id.in_([row.id for row in old])))

    def _forget_failures(self) -> None:
        """Forgets tries that failed but for the newest, and the first: since then there is none."""
        failed = select(Backup.id).where(Backup.state == "failed").order_by(Backup.id.desc())
        with reading(self._registry) as session:
            old = session.scalars(failed.offset(_FAILURES_KEPT)).all()[:-1]
        for some in batched(old):
            with writing(self._registry) as session:
                session.execute(delete(Backup).where(Backup.id.in_(some)))

    def _judge_age(self, limit: timedelta) -> None:
        now = self._clock()
        with reading(self._registry) as session:
            made, failed = _newest(session, "made", now), _newest(session, "failed", now)
            query = select(Backup.made_at).where(Backup.made_at <= now)
            first = session.scalars(query.order_by(Backup.made_at)).first()
        since = made.made_at if made else first
        if since is None or now - since <= limit:
            self._alerts.clear(AGE, at=now)
            return
        text = worded("There is no backup since {since} UTC.", since=f"{since:%F %T}")
        if failed:
            words = later("There is no backup since {since} UTC. The last try failed: {reason}")
            text = worded(words, since=f"{since:%F %T}", reason=failed.reason)
        self._alerts.raise_(AGE, "critical", text, at=now)


def ask(registry: Engine, folder: Path, now: datetime) -> int:
    """Writes down that a backup is wanted; returns the row's id."""
    with writing(registry) as session:
        row = Backup(state="asked", folder=str(folder), made_at=now, octets=0, contents={})
        session.add(row)
    return row.id


def rehearse(backup: Path, settings: Settings | None = None) -> str:
    """Restores a backup into places that are removed afterwards; says what came of it.

    Args:
        backup: Its folder.
        settings: Say which PostgreSQL is asked for scratch databases, where it is from one.
    """
    try:
        for left in backup.parent.glob(f"{_SCRATCH}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        manifest = Manifest.read(backup)
        _check_room(backup)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=backup.parent) as scratch:
            state = Path(scratch) / "state"
            with _scratch_databases(manifest, state, settings) as databases:
                plain = Settings(state=state)
                update = {"database": databases, "store": StoreSettings()}
                restore(backup, plain.model_copy(update=update))
    except (BackupError, OSError) as error:
        return str(error)
    return RESTORED if manifest.row_count() else "it is empty"


@contextmanager
def _scratch_databases(
    manifest: Manifest, state: Path, settings: Settings | None
) -> Iterator[DatabaseSettings]:
    """Yields URLs of the kind that the backup's databases are of, beside those in use."""
    urls = {"authority": f"sqlite:///{state / 'authority.db'}"}
    urls["registry"] = f"sqlite:///{state / 'hesper.db'}"
    with ExitStack() as stack:
        for part in urls:
            if f"{part}{postgres.ENDING}" not in manifest.files:
                continue
            if settings is None:
                raise BackupError("it is of PostgreSQL: say --config, whose server is asked")
            own = settings.database
            url = own.authority_url if part == "authority" else own.url
            beside = postgres.PostgresDatabase(url).scratch()
            urls[part] = stack.enter_context(beside)
        yield DatabaseSettings(url=urls["registry"], authority_url=urls["authority"])


def _check_room(backup: Path) -> None:
    """Raises BackupError when a rehearsal could fill the disk that backups are on."""
    needed = _ROOM * sum(path.stat().st_size for path in files_of(backup))
    free = shutil.disk_usage(backup.parent).free
    if free < needed:
        raise BackupError(f"a rehearsal needs {needed} octets beside it, {free} are free")


def _why_gone(folder: Path) -> str | None:
    """Returns why a backup is none any more; None of one that lies in its folder."""
    try:
        return None if (folder / MANIFEST).is_file() else "it is gone from its folder"
    except OSError as error:
        return str(error)


def _newest(session: Session, state: str, now: datetime) -> Backup | None:
    """Returns the newest row in a state; one of a clock that ran ahead says nothing of its age."""
    query = select(Backup).where(Backup.state == state, Backup.made_at <= now)
    return session.scalars(query.order_by(Backup.made_at.desc()).limit(1)).first()
