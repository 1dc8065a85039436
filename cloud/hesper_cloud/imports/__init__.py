"""Bulk import: customers, meters and SIM cards from the CSV files of real spreadsheets.

Theory of operation. A file is brought and kept as it came. The dry run reads it once: encoding and
separator are found out or told, every cell is read by the rules of its column, every row is held
against those before it and against the registry. It changes nothing; good rows and bad ones are
written beside the file, a bad one with each of its problems (row, column, code, value, and what to
do). Applying is one long job over the good rows (`hesper_cloud.long_jobs`): a portion is held
against the registry again, in the transaction that enters it, because hours may have passed. What
is refused then is kept with its reasons. The rejected rows of both come back as CSV with a last
column ``reason``; corrected there, the file can be brought again as it is.
"""
