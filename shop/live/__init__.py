"""The site's sockets: which there are, who may open how many, and units left on open pages."""
