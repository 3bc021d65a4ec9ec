"""The receipt of a sale: who got what was set aside, signed, so that anybody can check it without the shop.

`document` is what a receipt says, how it is signed and how it is checked; `writing` draws it up from the shop's books
and the log. Who runs it: `manage.py sale_receipt` and `manage.py verify_receipt`.
"""
