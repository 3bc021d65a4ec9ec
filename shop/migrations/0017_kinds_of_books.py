import django.db.models.deletion
from django.db import migrations, models

# With the rights of the tables' owner: processes that write books already may not write the new table yet.
TRIGGERS = """
CREATE FUNCTION shop_book_has_stock() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    NEW.is_in_stock := EXISTS (SELECT FROM inventory_stock WHERE bin = NEW.isbn AND received > held + sold);
    RETURN NEW;
END
$$;
CREATE TRIGGER shop_book_has_stock BEFORE INSERT OR UPDATE ON shop_book
    FOR EACH ROW EXECUTE FUNCTION shop_book_has_stock();
CREATE FUNCTION shop_book_is_found() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO shop_booksearch AS found
        (book_id, vector, isbn, is_listed, is_in_stock, category_id, format, language, price_minor, band, year)
    VALUES (NEW.id, '', NEW.isbn, NEW.is_listed, NEW.is_in_stock, NEW.category_id, NEW.format, NEW.language,
        NEW.price_minor, width_bucket(NEW.price_minor, ARRAY[1000, 1500, 2000, 3000]), NEW.year)
    ON CONFLICT (book_id) DO UPDATE SET
        (isbn, is_listed, is_in_stock, category_id, format, language, price_minor, band, year)
        = (excluded.isbn, excluded.is_listed, excluded.is_in_stock, excluded.category_id, excluded.format,
           excluded.language, excluded.price_minor, excluded.band, excluded.year)
    WHERE (found.isbn, found.is_listed, found.is_in_stock, found.category_id, found.format, found.language,
           found.price_minor, found.year)
        IS DISTINCT FROM
        (excluded.isbn, excluded.is_listed, excluded.is_in_stock, excluded.category_id, excluded.format,
         excluded.language, excluded.price_minor, excluded.year);
    IF TG_OP = 'INSERT' OR
        (OLD.title, OLD.author, OLD.series, OLD.publisher, OLD.isbn, OLD.blurb, OLD.category_id) IS DISTINCT FROM
        (NEW.title, NEW.author, NEW.series, NEW.publisher, NEW.isbn, NEW.blurb, NEW.category_id)
    THEN
        INSERT INTO shop_bookdue (book_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER shop_book_is_found AFTER INSERT OR UPDATE ON shop_book
    FOR EACH ROW EXECUTE FUNCTION shop_book_is_found();
CREATE FUNCTION shop_category_is_found() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO shop_bookdue (book_id) SELECT id FROM shop_book WHERE category_id = NEW.id ORDER BY id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER shop_category_is_found AFTER UPDATE ON shop_category
    FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION shop_category_is_found();
"""
NO_TRIGGERS = """
DROP TRIGGER shop_category_is_found ON shop_category;
DROP FUNCTION shop_category_is_found();
DROP TRIGGER shop_book_is_found ON shop_book;
DROP FUNCTION shop_book_is_found();
DROP TRIGGER shop_book_has_stock ON shop_book;
DROP FUNCTION shop_book_has_stock();
"""

# Sums of differences, so that nobody waits for anybody; the transaction that makes the triggers keeps writers of books
# out for a moment, and counts those that there are.
_KIND = "category_id, format, language, width_bucket(price_minor, ARRAY[1000, 1500, 2000, 3000]), is_in_stock"
KINDS = f"""
CREATE FUNCTION shop_book_is_counted() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO shop_bookkind (category_id, format, language, band, is_in_stock, books)
        SELECT {_KIND}, count(*) FROM written WHERE is_listed GROUP BY 1, 2, 3, 4, 5;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO shop_bookkind (category_id, format, language, band, is_in_stock, books)
        SELECT {_KIND}, -count(*) FROM gone WHERE is_listed GROUP BY 1, 2, 3, 4, 5;
    ELSE
        INSERT INTO shop_bookkind (category_id, format, language, band, is_in_stock, books)
        SELECT {_KIND}, sum(change) FROM (
            SELECT *, 1 AS change FROM written WHERE is_listed UNION ALL SELECT *, -1 FROM gone WHERE is_listed
        ) AS changed GROUP BY 1, 2, 3, 4, 5 HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER shop_book_is_counted_in AFTER INSERT ON shop_book REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION shop_book_is_counted();
CREATE TRIGGER shop_book_is_counted_anew AFTER UPDATE ON shop_book REFERENCING OLD TABLE AS gone NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION shop_book_is_counted();
CREATE TRIGGER shop_book_is_counted_out AFTER DELETE ON shop_book REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION shop_book_is_counted();
INSERT INTO shop_bookkind (category_id, format, language, band, is_in_stock, books)
SELECT {_KIND}, count(*) FROM shop_book WHERE is_listed GROUP BY 1, 2, 3, 4, 5;
"""
NO_KINDS = """
DROP TRIGGER shop_book_is_counted_out ON shop_book;
DROP TRIGGER shop_book_is_counted_anew ON shop_book;
DROP TRIGGER shop_book_is_counted_in ON shop_book;
DROP FUNCTION shop_book_is_counted();
"""


class Migration(migrations.Migration):
    """What kinds of books there are can be counted and sorted without looking each one up.

    Triggers keep it so; the books that are there follow in the next migration.
    """

    dependencies = [("shop", "0016_activity_by_hour"), ("inventory", "0008_pool_turns")]

    operations = [
        migrations.AddField(
            model_name="book",
            name="title_key",
            field=models.CharField(db_collation="C", db_default="", default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            "book", "is_in_stock", models.BooleanField(db_default=False, default=False, editable=False)
        ),
        migrations.AddField("booksearch", "is_in_stock", models.BooleanField(db_default=False)),
        migrations.AddField("booksearch", "isbn", models.CharField(db_default="", max_length=13)),
        migrations.AddField("booksearch", "is_listed", models.BooleanField(db_default=False)),
        migrations.AddField("booksearch", "category_id", models.BigIntegerField(db_default=0)),
        migrations.AddField("booksearch", "format", models.CharField(db_default="", max_length=12)),
        migrations.AddField("booksearch", "language", models.CharField(db_default="", max_length=8)),
        migrations.AddField("booksearch", "price_minor", models.IntegerField(db_default=0)),
        migrations.AddField("booksearch", "band", models.SmallIntegerField(db_default=0)),
        migrations.AddField("booksearch", "year", models.SmallIntegerField(db_default=0)),
        migrations.CreateModel(
            name="BookDue",
            fields=[
                (
                    "book",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="shop.book",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BookKind",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("category_id", models.BigIntegerField()),
                ("format", models.CharField(max_length=12)),
                ("language", models.CharField(max_length=8)),
                ("band", models.SmallIntegerField()),
                ("is_in_stock", models.BooleanField()),
                ("books", models.IntegerField()),
            ],
        ),
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
        migrations.RunSQL(KINDS, NO_KINDS),
        # A new price finds room beside the old row then, and the words need not be put into their index again.
        migrations.RunSQL(
            "ALTER TABLE shop_booksearch SET (fillfactor = 80)", "ALTER TABLE shop_booksearch RESET (fillfactor)"
        ),
    ]
