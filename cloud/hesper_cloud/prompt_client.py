"""A client of the broker that sends a message at once or not at all.

paho keeps what is beyond its window of unacknowledged messages, and what a lost connection left
unacknowledged, and sends it by itself as soon as it can. So a command could leave when the kill
switch had long been set. Here nothing outlives its connection, and what would have to wait for room
in the window is refused.
"""

import time

from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

_LOOK_AGAIN_S = 0.001


class PromptClient(mqtt.Client):
    """paho's client; what goes by `publish` waits for room still, and ends with its connection."""

    def publish_at_once(
        self, topic: str, payload: bytes, properties: Properties, patience_s: float
    ) -> bool:
        """Says whether a message with QoS 1 has left; waits so long at most for room for it."""
        deadline = time.monotonic() + patience_s
        while self.is_connected():
            with self._out_message_mutex:
                if len(self._out_messages) < self.max_inflight_messages:
                    sent = self.publish(topic, payload, qos=1, properties=properties)
                    return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_AGAIN_S)
        return False

    def _messages_reconnect_reset_out(self) -> None:
        with self._out_message_mutex:
            self._out_messages.clear()
            self._inflight_messages = 0
