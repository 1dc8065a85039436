"""Every input that is kept, replayed: a quiet end, in as many steps as the input justifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hesper_lab.cli import app
from hesper_lab.fuzz import campaign, corpus, reach, seeds
from hesper_lab.fuzz.registry import TARGETS
from typer.testing import CliRunner

STEPS_TO_BEGIN = 6_000
"""An association, a value in blocks: what the targets of whole sides do before their input."""
STEPS_PER_OCTET = 900
"""Three chunk sizes, three sets of keys, octet by octet: what the reader targets do."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_is_replayed(name: str) -> None:
    inputs = corpus.load(name)
    assert inputs
    for octets in inputs:
        _, steps = reach.traced(TARGETS[name], octets)
        assert steps <= STEPS_TO_BEGIN + STEPS_PER_OCTET * len(octets), octets.hex()


def test_corpora_are_small_and_without_doubles() -> None:
    for path in corpus.FOLDER.iterdir():
        lines = path.read_text().splitlines()
        assert path.stem in TARGETS
        assert len(lines) == len(set(lines)) <= corpus.MOST_INPUTS
    assert set(seeds.seeds()) == set(TARGETS)


def test_a_campaign_keeps_what_reaches_new_code(tmp_path: Path) -> None:
    corpus.save("cosem-time", seeds.seeds()["cosem-time"], tmp_path)
    outcome = campaign.run("cosem-time", 0.02, tmp_path)
    assert outcome.fallen == []
    assert outcome.executions > 0
    assert outcome.inputs == len(corpus.load("cosem-time", tmp_path)) > 0


def test_the_command_lists_its_targets() -> None:
    done = CliRunner().invoke(app, ["fuzz", "--json"])
    assert json.loads(done.stdout) == sorted(TARGETS)
    assert CliRunner().invoke(app, ["fuzz", "no-such-target"]).exit_code == 2
