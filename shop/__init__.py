"""The site: catalogue, cart, checkout page, order page, accounts, sales figures and operations."""
