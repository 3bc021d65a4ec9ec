import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FORWARD = [
    "DROP INDEX CONCURRENTLY IF EXISTS shop_book_category_id_c21a581c",
    "DROP INDEX CONCURRENTLY IF EXISTS shop_cartline_user_id_06fb067b",
    "DROP INDEX CONCURRENTLY IF EXISTS shop_flashsalebook_sale_id_fb569b8e",
]
BACK = [
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_flashsalebook_sale_id_fb569b8e ON shop_flashsalebook (sale_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_cartline_user_id_06fb067b ON shop_cartline (user_id)",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS shop_book_category_id_c21a581c ON shop_book (category_id)",
]


class Migration(migrations.Migration):
    """Indexes that begin as others do are gone.

    Each statement is a transaction of its own and can be made again, and none keeps a running shop waiting: indexes go and
    come concurrently, constraints hold for new rows first and are checked on the old ones afterwards.
    """

    atomic = False
    dependencies = [
        ("shop", "0008_one_time_forms"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACK)],
            state_operations=[
                migrations.AlterField(
                    model_name="book",
                    name="category",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="books",
                        to="shop.category",
                    ),
                ),
                migrations.AlterField(
                    model_name="cartline",
                    name="user",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cart_lines",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                migrations.AlterField(
                    model_name="flashsalebook",
                    name="sale",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="books",
                        to="shop.flashsale",
                    ),
                ),
            ],
        ),
    ]
