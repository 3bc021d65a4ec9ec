from django.db import migrations, models

# A running consumer waits for this, for a moment: none may park a second row of an event meanwhile.
LOCK = "LOCK TABLE kafka_bridge_parkedmessage IN SHARE ROW EXCLUSIVE MODE"
# The relay may have sent an event twice, to two places. The first row of the two keeps its place in the sequence.
PARKED_TWICE = """
DELETE FROM kafka_bridge_parkedmessage later USING kafka_bridge_parkedmessage earlier
WHERE earlier."group" = later."group" AND earlier.event_id = later.event_id AND earlier.id < later.id
"""
# Of several letters of one event the one that a person has to deal with takes its name, else the newest.
NAMES = """
UPDATE kafka_bridge_deadletter l SET message_id = l.event_id FROM (
    SELECT DISTINCT ON ("group", event_id) id FROM kafka_bridge_deadletter
    WHERE event_id IS NOT NULL AND error NOT LIKE 'Malformed: %'
    ORDER BY "group", event_id, array_position(ARRAY['parked', 'redriven'], state::text), id DESC
) AS named WHERE l.id = named.id
"""


class Migration(migrations.Migration):
    """A message is named by its event, and not by the place at which it lay."""

    dependencies = [("kafka_bridge", "0010_outbox_key_event")]

    operations = [
        migrations.AddField(model_name="deadletter", name="message_id", field=models.UUIDField(null=True)),
        migrations.RunSQL([LOCK, PARKED_TWICE], migrations.RunSQL.noop),
        migrations.RunSQL(NAMES, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="parkedmessage", name="parked_once"),
        migrations.AddConstraint(
            model_name="parkedmessage",
            constraint=models.UniqueConstraint(fields=["group", "event_id"], name="parked_event_once"),
        ),
        migrations.RemoveConstraint(model_name="deadletter", name="dead_letter_once"),
        migrations.AddConstraint(
            model_name="deadletter",
            constraint=models.UniqueConstraint(fields=["group", "message_id"], name="dead_letter_message_once"),
        ),
        migrations.AddIndex(
            model_name="deadletter", index=models.Index(fields=["event_id"], name="dead_letter_event")
        ),
    ]
