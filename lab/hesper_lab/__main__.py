"""``python -m hesper_lab``."""

import hesper_entry

hesper_entry.lab()
