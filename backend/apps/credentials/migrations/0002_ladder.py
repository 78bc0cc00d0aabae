"""Keeps the day of the next look and ends a ladder in the database itself, whoever writes a credential."""

from django.db import migrations

TABLES = {  # table of credentials -> the column of an alert that points to it, whose they are and by which column
    "doctors_doctorcredential": ("doctor_credential_id", "doctors_doctor", "doctor_id"),
    "employees_employeecredential": ("employee_credential_id", "employees_employee", "employee_id"),
}

# 90 is the first tier of the usual rules; no day lies before the first one that Python knows.
FUNCTIONS = """
CREATE FUNCTION credentials_first_look(kind text, expiry date) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT greatest(expiry - coalesce((SELECT tiers[1] FROM credentials_credentialpolicy
                                       WHERE credential_type = kind AND NOT is_deleted), 90), date '0001-01-01')
    WHERE expiry IS NOT NULL
$$;
CREATE FUNCTION credentials_plan_look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE replaced boolean := false;
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) -> TG_ARGV[0] = to_jsonb(OLD) -> TG_ARGV[0]
            AND (NEW.expiry_date, NEW.credential_type, NEW.is_deleted, NEW.replaced_by_id, NEW.rejected_at)
            IS NOT DISTINCT FROM
            (OLD.expiry_date, OLD.credential_type, OLD.is_deleted, OLD.replaced_by_id, OLD.rejected_at) THEN
        NEW.next_alert_on := OLD.next_alert_on;  -- who saves a whole row knows of no look since it was read
        RETURN NEW;
    END IF;
    IF NEW.replaced_by_id IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id = $1 AND NOT is_deleted AND rejected_at IS NULL)',
                       TG_TABLE_NAME) INTO replaced USING NEW.replaced_by_id;
    END IF;
    NEW.next_alert_on := CASE WHEN NOT NEW.is_deleted AND NEW.rejected_at IS NULL AND NOT replaced
                              THEN credentials_first_look(NEW.credential_type, NEW.expiry_date) END;
    RETURN NEW;
END $$;
CREATE FUNCTION credentials_end_ladder() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE because text;
BEGIN
    because := CASE WHEN NEW.is_deleted OR NEW.rejected_at IS NOT NULL THEN 'withdrawn'
                    WHEN NEW.replaced_by_id IS NOT NULL AND NEW.next_alert_on IS NULL THEN 'renewed'
                    WHEN NEW.expiry_date IS DISTINCT FROM OLD.expiry_date
                      OR NEW.credential_type <> OLD.credential_type
                      OR to_jsonb(NEW) -> TG_ARGV[1] <> to_jsonb(OLD) -> TG_ARGV[1] THEN 'withdrawn' END;
    IF because IS NOT NULL THEN
        EXECUTE format('UPDATE credentials_credentialalert SET closed_at = now(), closed_because = $2,
                        updated_at = now() WHERE %I = $1 AND closed_at IS NULL', TG_ARGV[0]) USING NEW.id, because;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION credentials_give_back() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE void boolean := NEW.is_deleted OR NEW.rejected_at IS NOT NULL;
BEGIN
    EXECUTE format('UPDATE %I SET next_alert_on = CASE WHEN $2 THEN credentials_first_look(credential_type, expiry_date)
                    END WHERE replaced_by_id = $1 AND NOT is_deleted AND rejected_at IS NULL', TG_TABLE_NAME)
        USING NEW.id, void;
    IF NOT void THEN
        EXECUTE format('UPDATE credentials_credentialalert SET closed_at = now(), closed_because = ''renewed'',
                        updated_at = now() WHERE closed_at IS NULL
                        AND %I IN (SELECT id FROM %I WHERE replaced_by_id = $1)', TG_ARGV[0], TG_TABLE_NAME)
            USING NEW.id;
    END IF;
    RETURN NULL;
END $$;
"""
OF_TABLE = """
CREATE TRIGGER credentials_plan_look
    BEFORE INSERT OR UPDATE OF expiry_date, credential_type, is_deleted, replaced_by_id, rejected_at, {holder} ON {table}
    FOR EACH ROW EXECUTE FUNCTION credentials_plan_look('{holder}');
CREATE TRIGGER credentials_end_ladder
    AFTER UPDATE OF expiry_date, credential_type, is_deleted, replaced_by_id, rejected_at, {holder} ON {table}
    FOR EACH ROW
    WHEN ((NEW.expiry_date, NEW.credential_type, NEW.is_deleted, NEW.replaced_by_id, NEW.rejected_at, NEW.{holder})
          IS DISTINCT FROM
          (OLD.expiry_date, OLD.credential_type, OLD.is_deleted, OLD.replaced_by_id, OLD.rejected_at, OLD.{holder}))
    EXECUTE FUNCTION credentials_end_ladder('{link}', '{holder}');
CREATE TRIGGER credentials_give_back AFTER UPDATE OF is_deleted, rejected_at ON {table} FOR EACH ROW
    WHEN (NEW.is_deleted <> OLD.is_deleted OR (NEW.rejected_at IS NULL) <> (OLD.rejected_at IS NULL))
    EXECUTE FUNCTION credentials_give_back('{link}');
UPDATE {table} SET next_alert_on = credentials_first_look(credential_type, expiry_date)
    WHERE NOT is_deleted AND replaced_by_id IS NULL AND rejected_at IS NULL;
"""
# Somebody who leaves is told of nothing any more, and is again once they are back.
OF_PEOPLE = """
CREATE FUNCTION credentials_look_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{updates}
    RETURN NULL;
END $$;
CREATE TRIGGER credentials_look_again AFTER UPDATE OF is_active, is_deleted ON users_user FOR EACH ROW
    WHEN (NEW.is_active <> OLD.is_active OR NEW.is_deleted <> OLD.is_deleted)
    EXECUTE FUNCTION credentials_look_again();
"""
OF_PERSON = """
    PERFORM pg_advisory_xact_lock(hashtextextended('papers of ' || id, 0)) FROM {people} WHERE user_id = NEW.id;
    UPDATE {table} AS held SET next_alert_on = credentials_first_look(held.credential_type, held.expiry_date)
    FROM {people} AS person
    WHERE person.user_id = NEW.id AND held.{holder} = person.id AND NOT held.is_deleted
      AND held.rejected_at IS NULL
      AND NOT EXISTS (SELECT FROM {table} AS other WHERE other.id = held.replaced_by_id
                      AND NOT other.is_deleted AND other.rejected_at IS NULL);
"""
BACK = """
DROP TRIGGER credentials_give_back ON {table};
DROP TRIGGER credentials_end_ladder ON {table};
DROP TRIGGER credentials_plan_look ON {table};
"""
BACK_FUNCTIONS = """
DROP FUNCTION credentials_give_back();
DROP FUNCTION credentials_end_ladder();
DROP FUNCTION credentials_plan_look();
DROP FUNCTION credentials_first_look(text, date);
"""
BACK_PEOPLE = """
DROP TRIGGER credentials_look_again ON users_user;
DROP FUNCTION credentials_look_again();
"""


def forwards() -> str:
    tables = [OF_TABLE.format(table=table, link=link, holder=by) for table, (link, _, by) in TABLES.items()]
    people = [OF_PERSON.format(table=table, people=of, holder=by) for table, (_, of, by) in TABLES.items()]
    return "".join([FUNCTIONS, *tables, OF_PEOPLE.format(updates="".join(people))])


def backwards() -> str:
    return "".join([BACK_PEOPLE, *(BACK.format(table=table) for table in TABLES), BACK_FUNCTIONS])


class Migration(migrations.Migration):
    dependencies = [("credentials", "0001_initial")]
    operations = [migrations.RunSQL(forwards(), backwards())]
