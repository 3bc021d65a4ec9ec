from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_audit_log")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["who", "-id"], name="audit_who"),
        ),
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["subject", "-id"], name="audit_subject"),
        ),
        migrations.AddIndex(model_name="auditentry", index=models.Index(fields=["at"], name="audit_at")),
    ]
