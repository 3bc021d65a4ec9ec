"""What can be checked of deploy/kubernetes without a cluster."""
