"""The operations page as the role live serves it: over HTTP and by a socket, from what this process has collected."""
