"""Settings of the whole project, a module a subject; they alone read the environment.

Order of precedence: the process environment, then `.env` beside manage.py, then what a running
`manage.py demo` wrote into its state folder (so that any command typed in a second terminal talks
to the demo), then the defaults that stand here.
"""

from shop.settings.admin import *
from shop.settings.environment import *
from shop.settings.kafka import *
from shop.settings.operations import *
from shop.settings.orders import *
from shop.settings.payments import *
from shop.settings.security import *
from shop.settings.site import *
from shop.settings.stores import *
