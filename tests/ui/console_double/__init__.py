"""A double of the cloud's services with a plausible fleet, honest about permissions and states."""
