"""The published language: every event type, topic and flow, a module per app that states them. Nothing here runs.

The saga on one screen (`manage.py saga` prints it from the live registry):

| event                   | topic             | said by   | heard by (reserve_first)                      | heard by (payment_first)                      |
|-------------------------|-------------------|-----------|-----------------------------------------------|-----------------------------------------------|
| order.created           | orders.events     | orders    | analytics, inventory                          | analytics, payments                           |
| inventory.reserved      | inventory.events  | inventory | orders, payments                              | orders                                        |
| inventory.insufficient  | inventory.events  | inventory | orders                                        | orders                                        |
| inventory.expired       | inventory.events  | inventory | orders                                        |                                               |
| payment.action_required | payments.events   | payments  | inventory, notifications, orders              | notifications, orders                         |
| payment.unknown         | payments.events   | payments  | orders                                        | orders                                        |
| payment.notified        | payments.events   | payments  | payments                                      | payments                                      |
| payment.confirmed       | payments.events   | payments  | inventory, orders                             | inventory, orders                             |
| payment.failed          | payments.events   | payments  | orders                                        | orders                                        |
| order.payment_refused   | orders.events     | orders    | payments                                      | payments                                      |
| order.confirmed         | orders.events     | orders    | analytics, notifications, shipping            | analytics, notifications, shipping            |
| order.shipped           | orders.events     | orders    | analytics, notifications                      | analytics, notifications                      |
| order.delivered         | orders.events     | orders    | analytics, notifications                      | analytics, notifications                      |
| order.reduced           | orders.events     | orders    | analytics, inventory, notifications, payments | analytics, inventory, notifications, payments |
| order.returned          | orders.events     | orders    | notifications, payments                       | notifications, payments                       |
| order.cancelled         | orders.events     | orders    | analytics, inventory, notifications, payments | analytics, inventory, notifications, payments |
| payment.refunded        | payments.events   | payments  | notifications, orders                         | notifications, orders                         |
| book.updated            | catalogue.updates | shop      | analytics                                     | analytics                                     |
| page.viewed             | shop.activity     | shop      | analytics                                     | analytics                                     |
| search.made             | shop.activity     | shop      | analytics                                     | analytics                                     |
| cart.changed            | shop.activity     | shop      | analytics                                     | analytics                                     |

What is believed: a message moves nothing before it is borne out.

| who hears     | whom      | of what                                                                                         | and believes it if                    |
|---------------|-----------|-------------------------------------------------------------------------------------------------|---------------------------------------|
| analytics     | orders    | order.created, order.confirmed, order.shipped, order.delivered, order.reduced, order.cancelled  | kafka_bridge.believing.books.stated   |
| analytics     | shop      | book.updated                                                                                    | kafka_bridge.believing.books.stated   |
| analytics     | shop      | page.viewed, search.made, cart.changed                                                          | shop.analytics.plausibility.plausible |
| inventory     | orders    | order.created, order.reduced, order.cancelled                                                   | kafka_bridge.believing.books.stated   |
| inventory     | payments  | payment.action_required, payment.confirmed                                                      | kafka_bridge.believing.books.stated   |
| notifications | payments  | payment.action_required, payment.refunded                                                       | kafka_bridge.believing.books.stated   |
| notifications | orders    | order.confirmed, order.shipped, order.delivered, order.reduced, order.returned, order.cancelled | kafka_bridge.believing.books.stated   |
| orders        | inventory | inventory.reserved, inventory.insufficient, inventory.expired                                   | kafka_bridge.believing.books.stated   |
| orders        | payments  | payment.action_required, payment.unknown, payment.confirmed, payment.failed, payment.refunded   | kafka_bridge.believing.books.stated   |
| payments      | orders    | order.created, order.payment_refused, order.reduced, order.returned, order.cancelled            | kafka_bridge.believing.books.stated   |
| payments      | inventory | inventory.reserved                                                                              | kafka_bridge.believing.books.stated   |
| payments      | payments  | payment.notified                                                                                | kafka_bridge.believing.books.stated   |
| shipping      | orders    | order.confirmed                                                                                 | kafka_bridge.believing.books.stated   |

Questions, which are no events: the answer is needed in the asker's own transaction.

| who asks  | whom     | what                                                         | when                                                     | answered by                     |
|-----------|----------|--------------------------------------------------------------|----------------------------------------------------------|---------------------------------|
| orders    | payments | which charge of these orders is captured, and how much?      | payment.confirmed is heard, before an order becomes PAID | payments.queries.captured       |
| inventory | payments | which of these orders are paid?                              | payment.confirmed is heard, before stock is sold         | payments.queries.paid_orders    |
| inventory | payments | never charge these orders; of which of them is that certain? | a hold has run out, before it is given up                | payments.charges.prevent_charge |

reserve_first: order.created → stock is held → inventory.reserved → the card is charged → payment.confirmed → order.confirmed.
payment_first: order.created → the card is charged → payment.confirmed → stock is held → inventory.reserved → order.confirmed.
"""  # noqa: E501 - a table's row is one line
