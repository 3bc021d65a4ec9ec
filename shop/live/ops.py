"""The operations page of this process: its pages and its sockets, which share what they show."""

from shop.live.ops_feed import Feed
from shop.live.ops_http import Ops
from shop.live.ops_sockets import OpsSockets
from shop.operations.pages import reading
from shop.operations.pages.passes import Checks

reader = reading.Reader()
_feed, _checks = Feed(reader.read), Checks()
pages = Ops(_feed, _checks)
sockets = OpsSockets(_feed, _checks)
