import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS orders_order_user_id_e9b59eb1",
    "DROP INDEX CONCURRENTLY IF EXISTS orders_orderline_order_id_17f8f3ef",
    "DROP INDEX CONCURRENTLY IF EXISTS orders_ordermail_order_id_63bce9a5",
    "DROP INDEX CONCURRENTLY IF EXISTS order_email",
    "CREATE INDEX CONCURRENTLY order_email ON orders_order (upper(email) text_pattern_ops)",
    "ALTER TABLE orders_shipment DROP CONSTRAINT IF EXISTS shipment_state_known",
    "ALTER TABLE orders_shipment ADD CONSTRAINT shipment_state_known CHECK (state IN ('packed', 'shipped', 'delivered', 'stopped')) NOT VALID",
    "ALTER TABLE orders_shipment VALIDATE CONSTRAINT shipment_state_known",
]
BACK = [
    "ALTER TABLE orders_shipment DROP CONSTRAINT IF EXISTS shipment_state_known",
    "DROP INDEX CONCURRENTLY IF EXISTS order_email",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_ordermail_order_id_63bce9a5 ON orders_ordermail (order_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_orderline_order_id_17f8f3ef ON orders_orderline (order_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_order_user_id_e9b59eb1 ON orders_order (user_id)",
]


class Migration(migrations.Migration):
    """Indexes that begin as others do are gone, buyers are found by their address, and states of parcels are checked.

    Each statement is a transaction of its own and can be made again, and none keeps a running shop waiting: indexes go and
    come concurrently, constraints hold for new rows first and are checked on the old ones afterwards.
    """

    atomic = False
    dependencies = [
        ("orders", "0008_mail_failures"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="order",
                    name="user",
                    field=models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="orderline",
                    name="order",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="orders.order",
                    ),
                ),
                migrations.AlterField(
                    model_name="ordermail",
                    name="order",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mails",
                        to="orders.order",
                    ),
                ),
                migrations.AddConstraint(
                    model_name="shipment",
                    constraint=models.CheckConstraint(
                        condition=models.Q(("state__in", ["packed", "shipped", "delivered", "stopped"])),
                        name="shipment_state_known",
                    ),
                ),
            ],
        ),
    ]
