"""Where a charge goes next: what the gateway's answer makes of it, and how that is written."""
