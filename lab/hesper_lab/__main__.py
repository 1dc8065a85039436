"""``python -m hesper_lab``."""

import hesper_commands

hesper_commands.lab()
