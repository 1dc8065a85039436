"""Reports: tables of a period as PDF and CSV, made as long jobs, by hand or by schedule.

Theory of operation. A kind of report yields its rows part by part, each part with the place where
the next one goes on. The job (`reports.making`) appends a part to a spool file and keeps place and
length of the spool as its cursor: after a crash the spool is cut to that length, so that no row is
there twice. When there are no more parts, the last portion writes the files from the spool and
enters the report. A schedule names no period but a rhythm: it asks for the day, week or month that
ended, by the calendar of its zone, once for each, also when the head end was down at its hour.
"""
