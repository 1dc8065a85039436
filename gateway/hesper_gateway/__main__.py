"""`python -m hesper_gateway` is `hesper-gateway`."""

import hesper_entry

hesper_entry.gateway()
