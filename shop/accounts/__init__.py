"""Accounts by mail address: signing up, in and out, passwords, saved addresses, and what becomes of an account's data.

The ways of signing up, confirming an address and resetting a password are django-allauth's. Ours: how often, how mails
leave (`mails`), who is one account (`names`, `mailboxes`), and how the pages look.
"""
