"""Energy over time: half-hours, hours, days and months, demand, billing reads, balances.

What is kept here can be computed again from readings and substitutes at any time.
"""
