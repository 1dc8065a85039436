"""`python -m hesper_sim`: the same as `hesper-sim`."""

import hesper_entry

hesper_entry.sim()
