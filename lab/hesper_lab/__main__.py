"""``python -m hesper_lab``."""

from hesper_lab.cli import main

main()
