"""The frame of the admin: navigation, start page, accounts, lists by date."""
