"""The soak: many meters through one gateway for long, while much goes wrong."""
