"""Alerts on their way to people and other systems: e-mail, webhooks, MQTT.

::

    change of an alert ─→ routing (which routes want it, and when) ─→ outbox ─→ sending ─→ target
    (AlertChange)         quiet hours, digests, maintenance          (Delivery)

What is to be told is in the outbox in the transaction in which the change was followed, so that a
crash loses none; a message is tried, with growing pauses, until its target has taken it. A target
may see one twice and never under another id.
"""
