"""What the chain alone cannot show: checkpoints and gateways contradict a log that was changed."""

import base64
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_cloud import audit
from hesper_cloud.audit import Witnessed, testimony
from hesper_cloud.audit.checkpoints import Checkpoints
from hesper_cloud.audit.testimony import NoTestimony
from hesper_cloud.db.authority import AuditCheckpoint, AuditRow, GatewayKey
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_contracts import witness
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.witness import Checkpoint
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session
from tables import make_tables

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
EVERY_S = 600.0


@dataclass
class Air:
    """Where checkpoints go, and the gateways that keep all of them."""

    connection: int = 1
    held: dict[str, list[bytes]] = field(default_factory=dict)

    def publish_witness(self, gateway: str, payload: bytes) -> bool:
        self.held.setdefault(gateway, []).append(payload)
        return True

    @property
    def witnessed(self) -> list[Witnessed]:
        return [Witnessed(who, each) for who, all_ in self.held.items() for each in all_]


class Log:
    """An audit log that grows, with the desk that signs checkpoints of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.signer, self.air, self.now = path, Signer.generate(), Air(), NOW
        self.keys = Keyring.of(self.signer.public_key)
        self.open()
        make_tables(self.engine, "authority")
        self.add_gateway("gw-1")
        self.grow(5)

    def open(self) -> None:
        self.engine: Engine = open_engine(f"sqlite:///{self.path}")
        self.desk = Checkpoints(self.engine, self.signer, self.air, EVERY_S)

    def add_gateway(self, name: str) -> None:
        with writing(self.engine) as session:
            session.add(GatewayKey(gateway=name, public_key="00" * 32, added_at=NOW))

    def grow(self, count: int, actor: str = "ann") -> None:
        """Adds rows; a checkpoint is due after them."""
        with writing(self.engine) as session:
            for _ in range(count):
                self.now += timedelta(seconds=1)
                entry = audit.Entry(actor, "command.sent", "meter", "queued", "sent", "why")
                audit.append(session, self.now, entry)
        self.now += timedelta(seconds=EVERY_S)
        self.desk.turn(self.now)

    def verdict(self, witnessed: list[Witnessed] | None = None) -> audit.Verdict:
        given = self.air.witnessed if witnessed is None else witnessed
        with reading(self.engine) as session:
            return audit.examine(session, self.keys, given)

    def close(self) -> None:
        self.engine.dispose()


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path / "authority.db")
    log.grow(5)
    yield log
    log.close()


def rewritten(session: Session, sequence: int) -> None:
    """Changes a row and reckons every later hash anew, as one who knows the code does."""
    rows = session.scalars(select(AuditRow).order_by(AuditRow.sequence)).all()
    rows[sequence - 1].actor = "nobody"
    for row, before in zip(rows[sequence - 1 :], rows[sequence - 2 :], strict=False):
        row.previous_hash = before.hash
        row.hash = audit.row_hash(row)


def cut(session: Session, beyond: int) -> None:
    session.execute(delete(AuditRow).where(AuditRow.sequence > beyond))
    session.execute(delete(AuditCheckpoint).where(AuditCheckpoint.sequence > beyond))


def test_an_untouched_log_agrees_with_its_checkpoints_and_its_witnesses(log):
    found = log.verdict()
    assert (found.intact, found.rows, found.checkpoints) == (True, 10, 2)


def test_an_edit_with_every_hash_reckoned_anew_contradicts_the_checkpoints(log):
    with writing(log.engine) as session:
        rewritten(session, 4)
    assert audit.verify(Session(log.engine)).intact
    assert "written anew" in log.verdict([]).text


def test_an_edit_that_takes_the_checkpoints_with_it_contradicts_the_gateways(log):
    with writing(log.engine) as session:
        rewritten(session, 4)
        session.execute(delete(AuditCheckpoint))
    assert log.verdict([]).intact
    found = log.verdict()
    assert (found.intact, "gw-1: row 5 was another" in found.text) == (False, True)


@pytest.mark.parametrize("what", ["drop", "swap", "edit"])
def test_what_the_chain_shows_by_itself_is_still_told(log, what):
    with writing(log.engine) as session:
        if what == "drop":
            session.execute(delete(AuditRow).where(AuditRow.sequence == 4))
        elif what == "edit":
            session.execute(update(AuditRow).where(AuditRow.sequence == 4).values(why="another"))
        else:
            for old, new in ((4, 99), (5, 4), (99, 5)):
                rows = update(AuditRow).where(AuditRow.sequence == old)
                session.execute(rows.values(sequence=new))
    found = log.verdict([])
    assert (found.intact, found.rows) == (False, 3)


def test_a_tail_that_was_cut_off_is_shown_by_a_witness_alone(log):
    with writing(log.engine) as session:
        cut(session, beyond=7)
    assert log.verdict([]).intact
    found = log.verdict()
    assert "gw-1: there were 10 rows; 7 are left" in found.against


def test_a_tail_cut_off_without_its_checkpoints_shows_in_the_database(log):
    with writing(log.engine) as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence > 7))
    assert "there were 10 rows" in log.verdict([]).text


def test_an_old_database_put_back_is_found_at_once_and_after_it_has_grown(log, tmp_path):
    log.close()
    shutil.copy(log.path, tmp_path / "backup.db")
    log.open()
    log.grow(5)
    log.close()
    shutil.copy(tmp_path / "backup.db", log.path)
    log.open()
    assert "there were 15 rows; 10 are left" in log.verdict().text
    log.grow(9, actor="ben")
    found = log.verdict()
    assert (found.intact, found.rows) == (False, 19)
    assert "gw-1: row 15 was another; the chain was written anew" in found.against


def test_a_checkpoint_that_is_gone_from_the_database_is_missed(log):
    with writing(log.engine) as session:
        session.execute(delete(AuditCheckpoint).where(AuditCheckpoint.sequence == 5))
    assert "gw-1: the checkpoint at row 5 is gone from the database" in log.verdict().against


def test_a_checkpoint_that_somebody_else_signed_is_none(log):
    said = Checkpoint(sequence=10, head="0" * 64, at=NOW)
    forged = witness.to_payload(said, Signer.generate())
    found = log.verdict([Witnessed("gw-1", forged), Witnessed("gw-2", b"nonsense")])
    assert (found.intact, len(found.against)) == (False, 2)
    with writing(log.engine) as session:
        session.get_one(AuditCheckpoint, 10).payload = forged
    assert "a checkpoint of the database is none" in log.verdict([]).text


def test_a_row_of_the_table_that_was_moved_is_found(log):
    with writing(log.engine) as session:
        session.execute(
            update(AuditCheckpoint).where(AuditCheckpoint.sequence == 10).values(sequence=9)
        )
    assert "says something else than it signs" in log.verdict([]).text


def test_after_a_change_of_keys_the_old_checkpoints_count_with_the_old_key(log):
    old = log.signer.public_key
    log.signer = Signer.generate()
    log.open()
    log.grow(1)
    log.keys = Keyring.of(log.signer.public_key)
    assert not log.verdict().intact
    log.keys = Keyring.of(log.signer.public_key, old)
    assert log.verdict().intact


def test_checkpoints_come_at_intervals_and_only_when_the_log_has_grown(log):
    told = len(log.air.held["gw-1"])
    with writing(log.engine) as session:
        audit.append(session, log.now, audit.Entry("ann", "login", "here"))
    log.desk.turn(log.now + timedelta(seconds=1))
    assert len(log.air.held["gw-1"]) == told
    log.desk.turn(log.now + timedelta(seconds=EVERY_S))
    assert len(log.air.held["gw-1"]) == told + 1
    log.desk.turn(log.now + timedelta(seconds=3 * EVERY_S))
    assert len(log.air.held["gw-1"]) == told + 1


def test_the_last_checkpoint_is_written_when_the_authority_stops(log):
    with writing(log.engine) as session:
        audit.append(session, log.now, audit.Entry("ann", "login", "here"))
    log.desk.close(log.now)
    newest = witness.from_payload(log.air.held["gw-1"][-1], log.keys)
    assert (newest.sequence, log.verdict().checkpoints) == (11, 3)


def test_new_gateways_and_new_connections_are_told_and_a_restart_tells_again(log):
    log.add_gateway("gw-2")
    log.desk.turn(log.now + timedelta(seconds=60))
    assert log.air.held["gw-2"] == log.air.held["gw-1"][-1:]
    log.air.connection = 2
    log.desk.turn(log.now + timedelta(seconds=61))
    assert len(log.air.held["gw-2"]) == 2
    log.air.connection = 0
    log.desk.turn(log.now + timedelta(seconds=62))
    log.air.connection = 3
    log.open()
    log.desk.turn(log.now + timedelta(seconds=63))
    assert len(log.air.held["gw-2"]) == 3


def test_a_file_of_checkpoints_is_read_and_nonsense_in_it_is_refused(log, tmp_path):
    path = tmp_path / "gw-1.witness"
    lines = [base64.b64encode(each).decode() for each in log.air.held["gw-1"]]
    path.write_text("\n".join(["", *lines, ""]))
    assert log.verdict(testimony.from_file(path)).intact
    path.write_text("no base64!")
    with pytest.raises(NoTestimony):
        testimony.from_file(path)


def test_a_clock_that_was_ahead_stops_no_checkpoints(log: Log) -> None:
    log.now += timedelta(days=4000)
    log.grow(1)
    log.now = NOW + timedelta(days=1)
    before = len(log.air.held["gw-1"])
    log.add_gateway("gw-2")
    log.grow(1)
    log.desk.turn(log.now)
    assert len(log.air.held["gw-1"]) > before
    assert "gw-2" in log.air.held
