"""What the launcher and the agent that it starts say to each other."""

SLOT_VARIABLE = "HESPER_SLOT"
"""In the environment: which of the versions in the launcher's folder this program is."""
FOLDER_VARIABLE = "HESPER_VERSIONS"
"""In the environment: that folder."""
AGAIN = 83
"""The exit code by which the launcher knows that it is to start the gateway again."""
