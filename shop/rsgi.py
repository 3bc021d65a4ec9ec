"""The pages and the JSON interface as the role web serves them: `granian --interface=rsgi shop.rsgi:application`."""

import sys

# ruff: noqa: I001 - the first of these sets Django up for the others
from shop.wsgi import application as django_application
from shop.checkout.sold_out_door import SoldOutDoor
from shop.site.web import WebApplication

# Sixteen threads serve requests while one commits their orders. Each time that one comes back from PostgreSQL it waits
# for the interpreter; by default a thread that computes keeps it for 5 ms, longer than a whole commit takes.
sys.setswitchinterval(0.0005)

application = WebApplication(django_application, SoldOutDoor())
