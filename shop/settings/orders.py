"""How orders run: the flow, deadlines, holds, parcels; and what one app asks another."""

from shop.settings.environment import env

CURRENCY = "USD"
# reserve_first: hold stock, then charge. payment_first: charge, then hold; refund if nothing is left.
ORDER_FLOW = env.str("ORDER_FLOW", default="reserve_first")
ORDER_DEADLINE_SECONDS = env.int("ORDER_DEADLINE_SECONDS", default=900)
# How long stock is held for an order that is not paid (reserve_first; with payment_first it is paid before it is held).
# A sale may set a time of its own.
HOLD_SECONDS = env.int("HOLD_SECONDS", default=600)
# The longest time for a hold where less than half of the unsold units is free; long enough for a bank's confirmation.
SCARCE_HOLD_SECONDS = env.int("SCARCE_HOLD_SECONDS", default=240)
# For so many days after the parcel has arrived a buyer can withdraw from the purchase; the law of the EU asks for 14.
WITHDRAWAL_DAYS = env.int("WITHDRAWAL_DAYS", default=14)
# For so many hours a copy that came back is kept for somebody who waited for it, from when the mail has left.
BACK_IN_STOCK_HOLD_HOURS = env.float("BACK_IN_STOCK_HOLD_HOURS", default=24.0)
# For so many days the shop keeps addresses that waited, after that is over, and those that were not confirmed.
KEEP_WAITLIST_DAYS = env.float("KEEP_WAITLIST_DAYS", default=30.0)
# For so many days the shop keeps the gateway's webhooks, and each movement of stock by itself.
KEEP_WEBHOOKS_DAYS = env.float("KEEP_WEBHOOKS_DAYS", default=90.0)
KEEP_MOVEMENTS_DAYS = env.float("KEEP_MOVEMENTS_DAYS", default=400.0)
CARRIER_SHIP_DELAY_SECONDS = env.float("CARRIER_SHIP_DELAY_SECONDS", default=5.0)
CARRIER_DELIVER_DELAY_SECONDS = env.float("CARRIER_DELIVER_DELAY_SECONDS", default=10.0)

# Inventory may not import payments; it asks this function whether an order's money is in.
INVENTORY_PAYMENT_CHECK = "payments.queries.paid_orders"
# Orders may not either; it asks this one which charges were captured, before it believes an event.
ORDERS_PAYMENT_CHECK = "payments.queries.captured"
# And before it gives up a hold, this one to see to it that the order is never charged.
INVENTORY_PAYMENT_STOP = "payments.charges.prevent_charge"
