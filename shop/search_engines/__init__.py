"""What search engines and link previews are told: of one page in `page_about`, of all of them in `sitemaps`."""
