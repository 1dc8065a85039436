"""The life of alerts once a rule has raised them: what hangs together, how urgent it is, floods.

Rules raise through `hesper_cloud.rules.alerts`. A job (`keeping`) then gathers what has one cause
(`grouping`), brings back what was shelved, reckons priorities and watches the rate of new alerts.
Every step is a row of `AlertChange` in the transaction of the step itself: the history of an alert,
and the feed that delivery follows.
"""
