"""Counts what comes in, so that a row that is deleted is missed."""

import django.db.models.deletion
from django.db import migrations, models

# The mark of a message: what `laboratory.reconcile` computes again from the rows. Immutable, so that it is inlined.
MARK = """
CREATE FUNCTION laboratory_mark(id uuid, sha256 text, control text, application text, facility text)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended(id::text || sha256 || control || ' ' || application || ' ' || facility, 0)
$$;
CREATE FUNCTION laboratory_count_intake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO laboratory_intakecount AS kept (feed_id, by_file, hour, session, taken, marks)
    SELECT feed_id, peer = 'file', date_trunc('hour', received_at, 'UTC'), pg_backend_pid(), count(*),
           bit_xor(laboratory_mark(id, sha256, control_id, sending_application, sending_facility))
    FROM fresh GROUP BY 1, 2, 3
    ON CONFLICT (hour, feed_id, by_file, session)
    DO UPDATE SET taken = kept.taken + excluded.taken, marks = kept.marks # excluded.marks;
    RETURN NULL;
END $$;
CREATE FUNCTION laboratory_intake_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'What came in is counted up and never down.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER laboratory_intake_stays BEFORE DELETE ON laboratory_intakecount
    FOR EACH ROW EXECUTE FUNCTION laboratory_intake_stays();
CREATE TRIGGER laboratory_intake_grows BEFORE UPDATE ON laboratory_intakecount FOR EACH ROW
    WHEN (NEW.taken + NEW.moved_in + NEW.moved_out <= OLD.taken + OLD.moved_in + OLD.moved_out
          OR NEW.taken < OLD.taken OR NEW.moved_in < OLD.moved_in OR NEW.moved_out < OLD.moved_out OR (NEW.hour, NEW.session, NEW.by_file) <> (OLD.hour, OLD.session, OLD.by_file)
          OR NEW.feed_id IS DISTINCT FROM OLD.feed_id)
    EXECUTE FUNCTION laboratory_intake_stays();
INSERT INTO laboratory_intakecount (feed_id, by_file, hour, session, taken, marks)
SELECT feed_id, peer = 'file', date_trunc('hour', received_at, 'UTC'), 0, count(*),
       bit_xor(laboratory_mark(id, sha256, control_id, sending_application, sending_facility))
FROM laboratory_inboundmessage GROUP BY 1, 2, 3;
CREATE FUNCTION laboratory_count_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO laboratory_intakecount AS kept (feed_id, by_file, hour, session, moved_in, moved_out, marks)
    SELECT feed, NEW.peer = 'file', date_trunc('hour', NEW.received_at, 'UTC'), pg_backend_pid(), came, 1 - came,
           laboratory_mark(NEW.id, NEW.sha256, NEW.control_id, NEW.sending_application, NEW.sending_facility)
    FROM (VALUES (OLD.feed_id, 0), (NEW.feed_id, 1)) AS sides (feed, came)
    ON CONFLICT (hour, feed_id, by_file, session)
    DO UPDATE SET moved_in = kept.moved_in + excluded.moved_in, moved_out = kept.moved_out + excluded.moved_out,
                  marks = kept.marks # excluded.marks;
    RETURN NULL;
END $$;
CREATE TRIGGER laboratory_count_move AFTER UPDATE OF feed_id ON laboratory_inboundmessage FOR EACH ROW
    WHEN (OLD.feed_id IS DISTINCT FROM NEW.feed_id) EXECUTE FUNCTION laboratory_count_move();
CREATE TRIGGER laboratory_count_intake AFTER INSERT ON laboratory_inboundmessage
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION laboratory_count_intake();
"""
UNMARK = """
DROP TRIGGER laboratory_count_intake ON laboratory_inboundmessage;
DROP FUNCTION laboratory_count_intake();
DROP TRIGGER laboratory_count_move ON laboratory_inboundmessage;
DROP FUNCTION laboratory_count_move();
DROP TRIGGER laboratory_intake_grows ON laboratory_intakecount;
DROP TRIGGER laboratory_intake_stays ON laboratory_intakecount;
DROP FUNCTION laboratory_intake_stays();
DROP FUNCTION laboratory_mark(uuid, text, text, text, text);
"""


class Migration(migrations.Migration):
    dependencies = [("laboratory", "0007_intake")]
    operations = [
        migrations.CreateModel(
            name="IntakeCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("by_file", models.BooleanField(default=False)),
                ("hour", models.DateTimeField()),
                ("session", models.IntegerField()),
                ("taken", models.PositiveBigIntegerField(default=0, db_default=0)),
                ("moved_in", models.PositiveBigIntegerField(default=0, db_default=0)),
                ("moved_out", models.PositiveBigIntegerField(default=0, db_default=0)),
                ("marks", models.BigIntegerField()),
                (
                    "feed",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="laboratory.labfeed",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("hour", "feed", "by_file", "session"),
                        name="laboratory_intakecount_once",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
        migrations.RunSQL(MARK, UNMARK),
    ]
