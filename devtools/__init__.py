"""For development only: local services, the demo, test support, drills. Production code never imports it.

The container image does not contain this folder.
"""
