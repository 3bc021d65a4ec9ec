"""What must programs of others know, to read the topics? An AsyncAPI document says it, made from what is registered."""
