"""What it is measured against: the usual ways, in the same server."""
