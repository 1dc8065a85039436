"""Why a message was not delivered; each is tried again, and the text is what the log shows."""


class NotDelivered(Exception):
    """The target did not take a message.

    ``wait_s`` is how long it asked to be left alone, if it did. The text holds nothing secret and
    nothing that a server answered beyond its code.
    """

    def __init__(self, reason: str, wait_s: int = 0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
