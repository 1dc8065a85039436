"""Fuzzing of every parser of the DLMS stack: targets, their corpora, and campaigns.

A target takes any octets and ends quietly, or raises what must never leave the stack. Each has a
corpus, a text file with one input in hex on each line, which the test suite replays; `campaign`
lets atheris look for more inputs where atheris is installed.
"""
