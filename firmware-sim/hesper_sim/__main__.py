"""`python -m hesper_sim`: the same as `hesper-sim`."""

from hesper_sim.cli import main

main()
