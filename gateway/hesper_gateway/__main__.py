"""`python -m hesper_gateway` is `hesper-gateway`."""

import hesper_commands

hesper_commands.gateway()
