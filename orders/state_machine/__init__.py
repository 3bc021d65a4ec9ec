"""How an order moves: what it answers to every event (`transitions`), and how that is applied (`apply_events`).

An order becomes PAID, SHIPPED, DELIVERED or CANCELLED through `unit_of_work`: locked, written in one statement, what
follows stated, a line on its trail. `payment_check` asks payments' own books before an order believes that it is paid.
"""
