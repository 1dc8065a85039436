"""Commands that the documents tell people to type exist, with the options they are given."""

import re
import shlex
from functools import cache
from pathlib import Path

import hesper_cloud.cli
import hesper_gateway.cli
import hesper_gateway.desk.cli
import hesper_lab.cli
import hesper_sim.cli
import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md"),
     *ROOT.glob("deploy/prepare"), *ROOT.glob("deploy/*.service")]
)  # fmt: skip
COMMAND = re.compile(r"\b(hesper-(?:cloud|gateway|dlms|sim)|\./hesper) ([^`\n|;&)#…]*)")
PROGRAMS = {
    "hesper-cloud": hesper_cloud.cli.app,
    "hesper-dlms": hesper_gateway.desk.cli.app,
    "hesper-gateway": hesper_gateway.cli.app,
    "hesper-lab": hesper_lab.cli.app,
    "hesper-sim": hesper_sim.cli.cli,
}
WIDE = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
LAUNCHER_ALONE = {"run", "setup", "test"}


def commands(path: Path) -> list[tuple[str, list[str]]]:
    """Return program and words of every command in code: fenced blocks, back-ticks, scripts."""
    text = path.read_text().replace("\\\n", " ")
    if path.suffix == ".md":
        fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        inline = re.findall(
            r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        )
        text = "\n".join([*fenced, *inline])
    else:
        text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = []
    for program, rest in COMMAND.findall(text):
        words = shlex.split(rest.replace("'", " ").replace('"', " "))
        if program == "./hesper":  # the launcher hands these to the lab
            program, words = "hesper-lab", [w for w in words if words[0] not in LAUNCHER_ALONE]
        if words and re.fullmatch("[a-z]+", words[0]):
            found.append((program, words))
    return found


@cache
def help_of(program: str, *words: str) -> str | None:
    """Return the help of a command, None when there is no such command."""
    ended = CliRunner().invoke(PROGRAMS[program], [*words, "--help"], env=WIDE)
    return ended.output if ended.exit_code == 0 else None


def test_the_finder_finds_them():
    assert ("hesper-cloud", ["gateway", "add"]) in [
        (program, words[:2]) for program, words in commands(ROOT / "deploy/README.md")
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path):
    wrong = []
    for program, words in commands(path):
        known = help_of(program, words[0])
        if known and "Commands" in known and len(words) > 1:
            known = help_of(program, *words[:2])
        options = [word.split("=")[0] for word in words if re.match("--[a-z]", word)]
        missing = [option for option in options if known and option not in known]
        if known is None or missing:
            wrong.append((program, words, missing))
    assert wrong == []
