"""How people are told of an alert: what is sent to whom, and that each channel gets it."""
