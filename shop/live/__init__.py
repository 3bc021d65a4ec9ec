"""The role live: its server, its sockets with their routes and limits, live availability, and a room for each page.

What the pages share is here: `pages` and `requests` over HTTP, `pushing` over sockets.
"""
