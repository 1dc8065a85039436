"""What a command starts without: who waits for it is at a meter, often on a small machine."""

import signal
import subprocess
import sys
from pathlib import Path

import hesper_entry
import pytest

WITHOUT = {
    "hesper_cloud.cli": {"cryptography", "pydantic", "sqlalchemy", "hesper_cloud.provision"},
    "hesper_gateway.desk.cli": {"asyncio", "pydantic", "hesper_gateway.templates"},
    "hesper_sim.cli": {"asyncio", "cryptography", "hesper_sim.app", "hesper_sim.meter"},
}


@pytest.mark.parametrize("module", WITHOUT)
def test_a_command_starts_without_what_few_uses_of_it_need(module):
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert WITHOUT[module] & set(ended.stdout.split()) == set()


INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is ignored
sys.path.insert(0, sys.argv[1])
import hesper_entry
hesper_entry.start("hesper-late", "late")
"""
IN_ITS_IMPORTS = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
"""What a person does who typed the wrong thing."""
FULL = Path("/dev/full")


def started(program, *words, stdout=subprocess.PIPE):
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_ctrl_c_in_the_midst_of_imports_shows_no_traceback(tmp_path):
    (tmp_path / "late.py").write_text(IN_ITS_IMPORTS + "def main(): print('came to it')\n")
    ended = started(INTERRUPTED, str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_is_the_commands_own_once_it_runs(tmp_path):
    told = "def main():\n  try: os.kill(os.getpid(), signal.SIGINT)\n"
    told += "  except KeyboardInterrupt: print('stopped in order')\n"
    (tmp_path / "late.py").write_text("import os, signal\n" + told)
    ended = started(INTERRUPTED, str(tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped in order\n", "")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("dlms", ["explain", "--json", "C001C100030100010800FF0200"]),
        ("gateway", ["template", "list"]),
        ("cloud", ["--help"]),
        ("sim", ["faults"]),
        ("lab", ["--help"]),
    ],
)
def test_output_that_cannot_be_written_is_one_line(command, words):
    with FULL.open("w") as full:
        program = f"import hesper_entry; hesper_entry.{command}()"
        ended = started(program, *words, stdout=full)
    assert ended.returncode in {1, 2}
    name = "hesper" if command == "lab" else f"hesper-{command}"
    assert ended.stderr == f"{name}: [Errno 28] No space left on device\n"


def test_every_command_of_the_project_starts_so(project):
    places = project["project"]["scripts"]
    assert places == {f"hesper-{each}": f"hesper_entry:{each}" for each in
                      ("dlms", "gateway", "cloud", "sim", "lab")}  # fmt: skip
    assert all(callable(getattr(hesper_entry, place.split(":")[1])) for place in places.values())
