"""The site's wiring: middleware, error pages, static files, addresses of Redis, small caches, the terminal."""
