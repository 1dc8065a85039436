"""`python -m hesper_sim`: the same as `hesper-sim`."""

import hesper_commands

hesper_commands.sim()
