"""A flash sale played out: buyers who all want the same few copies, what the shop makes of them, and the verdict."""
