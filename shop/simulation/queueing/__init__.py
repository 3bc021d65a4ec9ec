"""A sale with a waiting room played out: people who ask for places, hear of the queue, order in turn, or do not."""
