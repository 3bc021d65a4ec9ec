"""The shop's websockets: routes and limits, and live availability on open pages."""
