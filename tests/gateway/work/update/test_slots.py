"""Which version counts, whatever is cut short; and what a bundle may hold."""

import asyncio
import errno
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hesper_gateway.update import bundle
from hesper_gateway.update.bundle import BundleUnusable
from hesper_gateway.update.errand import Updater
from hesper_gateway.update.launcher import folder_of
from hesper_gateway.update.slots import MOST_STARTS, Slots
from hesper_gateway.update.trial import UpdateTrial


def fill(folder: Path) -> None:
    (folder / "module.py").write_text("x = 1\n")


def tried(folder: Path, command: str = "c-1") -> Slots:
    slots = Slots(folder)
    slots.try_out("2", command, fill)
    return slots


def test_the_installation_counts_first(tmp_path: Path) -> None:
    assert Slots(tmp_path).begin() == ""


def test_what_proves_itself_counts_and_the_next_one_goes_to_the_other_slot(tmp_path: Path) -> None:
    slots = tried(tmp_path)
    assert slots.begin() == "a"
    slots.commit()
    assert slots.begin() == "a"
    slots.try_out("3", "c-2", fill)
    assert slots.begin() == "b"
    slots.give_up("no broker")
    assert slots.begin() == "a"
    ended = slots.state().last
    assert ended is not None
    assert (ended.command, ended.version, ended.why) == ("c-2", "3", "no broker")


def test_starts_are_counted_on_disk(tmp_path: Path) -> None:
    tried(tmp_path)
    assert [Slots(tmp_path).begin() for _ in range(MOST_STARTS + 2)] == ["a"] * MOST_STARTS + [
        ""
    ] * 2
    assert Slots(tmp_path).state().trial is None


def test_what_cannot_be_counted_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(tmp_path)

    def full(_path: Path, _octets: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hesper_gateway.update.slots.put", full)
    assert [Slots(tmp_path).begin() for _ in range(MOST_STARTS + 1)] == [""] * (MOST_STARTS + 1)


def updater(slots: Slots, slot: str) -> tuple[Updater, UpdateTrial]:
    """Of the program that runs from a slot; it has neither downloads nor terms."""
    trial = UpdateTrial(slots, slot)
    nothing: Any = None
    return Updater(nothing, trial, nothing), trial


def update(command_id: str) -> Any:
    return SimpleNamespace(id=command_id, kind="gateway.update")


async def test_what_the_launcher_did_not_start_is_told(tmp_path: Path) -> None:
    slots = tried(tmp_path)
    report = await updater(slots, "")[0].run(update("c-1"), lambda: None)
    assert (report.done, slots.state().trial) == (False, None)
    assert "could not be counted" in report.detail


async def test_another_command_waits_for_a_trial_and_overwrites_nothing(tmp_path: Path) -> None:
    slots = tried(tmp_path)
    slots.begin()
    mine, trial = updater(slots, "a")
    waiting = asyncio.create_task(mine.run(update("c-2"), lambda: None))
    await asyncio.sleep(0)
    assert not waiting.done()
    slots.give_up("no broker")
    slots.try_out("3", "c-2", fill)
    slots.commit()
    trial.settled.set()
    assert (await waiting).done


def test_what_was_cut_while_it_was_unpacked_is_never_started(tmp_path: Path) -> None:
    def cut(folder: Path) -> None:
        fill(folder)
        raise OSError("no space left on device")

    slots = tried(tmp_path)
    slots.begin()
    slots.commit()
    with pytest.raises(OSError, match="no space"):
        slots.try_out("3", "c-2", cut)
    assert slots.begin() == "a"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["a"]


@pytest.mark.parametrize("octets", [b"", b"{", b'{"current": "a"}', b'{"current": 5}'])
def test_a_state_that_says_nothing_leaves_the_installation(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "state.json").write_bytes(octets)
    assert Slots(tmp_path).begin() == ""


def archive(path: Path, *wheels: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as whole:
        for number, files in enumerate(wheels):
            wheel = io.BytesIO()
            with zipfile.ZipFile(wheel, "w") as inner:
                for name, text in files.items():
                    inner.writestr(name, text)
            whole.writestr(f"w{number}-1-py3-none-any.whl", wheel.getvalue())
    return path


OURS = {"hesper-2.dist-info/METADATA": "", "hesper_gateway/__init__.py": ""}


def test_wheels_lie_side_by_side(tmp_path: Path) -> None:
    slot = tmp_path / "slot"
    slot.mkdir()
    other = {"w-1.data/purelib/w.py": "", "w-1.data/scripts/w": "", "w2/x.so": ""}
    bundle.unpack(archive(tmp_path / "x.zip", OURS, other), slot, "2")
    found = sorted(str(path.relative_to(slot)) for path in slot.rglob("*") if path.is_file())
    assert found == sorted([*OURS, "w.py", "w2/x.so"])


@pytest.mark.parametrize(
    ("wheels", "version", "reason"),
    [
        ((), "2", "1 to 100 wheels"),
        ((OURS,), "3", "hesper 3 is not in it"),
        (({"hesper-2.dist-info/METADATA": ""},), "2", "hesper 2 is not in it"),
        ((OURS, {"../outside.py": ""}), "2", "names"),
        ((OURS, {"/etc/passwd": ""}), "2", "names"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, wheels: Any, version: str, reason: str) -> None:
    slot = tmp_path / "slot"
    slot.mkdir()
    with pytest.raises(BundleUnusable, match=reason):
        bundle.unpack(archive(tmp_path / "x.zip", *wheels), slot, version)
    assert not (tmp_path / "outside.py").exists()


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(BundleUnusable, match="not a bundle"):
        bundle.unpack(tmp_path / "x.zip", tmp_path, "2")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_what_was_packed_wrongly(tmp_path: Path, method: int) -> None:
    """Two people may sign such a one; it must not end the gateway again and again."""
    path, slot = tmp_path / "x.zip", tmp_path / "slot"
    slot.mkdir()
    with zipfile.ZipFile(path, "w", method) as whole:
        whole.writestr("w-1-py3-none-any.whl", b"".join(b"%d" % n for n in range(2000)))
    octets = bytearray(path.read_bytes())
    octets[70:200] = bytes(byte ^ 0xFF for byte in octets[70:200])
    path.write_bytes(octets)
    with pytest.raises((BundleUnusable, OSError)):
        bundle.unpack(path, slot, "2")


TOLD_TO_STOP = """
import os, signal, sys
from pathlib import Path
from hesper_gateway.update.launcher import Launcher
from hesper_gateway.update.slots import Slots

class Early(Slots):
    def begin(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return super().begin()

folder = Path(sys.argv[1])
print(Launcher(Early(folder), ("run", "--config", str(folder / "fifo"))).run())
"""


def test_a_launcher_that_is_stopped_before_it_has_started_anything_stops(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # who reads it waits for ever
    words = [sys.executable, "-c", TOLD_TO_STOP, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, timeout=60, check=True, text=True)
    assert ended.stdout.strip() == str(-signal.SIGTERM)


KILLED_TOO_SOON = """
import os, signal, sys, time
from pathlib import Path
from hesper_gateway.update import launcher
from hesper_gateway.update.slots import Slots

folder, die_with = Path(sys.argv[1]), launcher._die_with

def after_the_launcher(parent):
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)
    die_with(parent)
    (folder / "goes on").touch()

launcher._die_with = after_the_launcher
launcher.Launcher(Slots(folder), ("run",)).run()
"""


def test_a_child_whose_launcher_died_before_it_was_known_does_not_go_on(tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED_TOO_SOON, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, timeout=60, check=False)  # of both
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "goes on").exists()


@pytest.mark.parametrize("text", ["", 'state = "elsewhere"', "no toml", "state = 5"])
def test_versions_lie_beside_the_database(tmp_path: Path, text: str) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(text)
    name = "elsewhere" if "elsewhere" in text else "state"
    assert folder_of(config) == tmp_path / name / "versions"
