"""`python -m hesper_gateway` is `hesper-gateway`."""

from hesper_gateway.cli import main

main()
