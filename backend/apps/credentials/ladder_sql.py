"""The statements of the ladder, one chunk of rows each; without them the sweep would ask once for every credential."""

from __future__ import annotations

# Whose a credential is, whether that person still works here, and in whose file their manager stands.
OPEN = "login.is_active AND NOT login.is_deleted"
DOCTORS = """
    SELECT due.*, doctor.user_id, file.manager_id, file.department_id,
           {is_open} AND NOT doctor.is_deleted AND coalesce(file.status NOT IN ('terminated', 'retired'), true)
               AS is_here
    FROM due JOIN doctors_doctor doctor ON doctor.id = due.holder_id JOIN users_user login ON login.id = doctor.user_id
    LEFT JOIN employees_employee file ON file.user_id = doctor.user_id AND NOT file.is_deleted"""
EMPLOYEES = """
    SELECT due.*, file.user_id, file.manager_id, file.department_id,
           {is_open} AND NOT file.is_deleted AND file.status NOT IN ('terminated', 'retired') AS is_here
    FROM due JOIN employees_employee file ON file.id = due.holder_id JOIN users_user login ON login.id = file.user_id"""

# Asked row by row: a join would read all of the staff where the statistics know of few.
BOSS = """
    SELECT boss.user_id FROM employees_employee boss JOIN users_user login ON login.id = boss.user_id
    WHERE boss.id = step.manager_id AND {is_open}"""
HEAD = """
    SELECT head.user_id FROM employees_department department
    JOIN employees_employee head ON head.id = department.head_id
    JOIN users_user login ON login.id = head.user_id WHERE department.id = step.department_id AND {is_open}"""

# `told_id` is the most urgent alert of this credential and expiry that is no earlier step than the tier reached: where
# there is one none is raised, it is only opened again if it was closed for a reason that holds no more. Then those are
# written to whom no e-mail of it reached or is on its way to, and all of them if that is so of who holds it by now.
# What is open of a credential is looked for among its own alerts, never among all that are open.
STEP = """
WITH due AS MATERIALIZED (
    SELECT id, credential_type, expiry_date, {holder} AS holder_id, expiry_date - %(today)s::date AS days_left
    FROM {table} WHERE next_alert_on <= %(today)s::date
    ORDER BY next_alert_on, id LIMIT %(chunk)s FOR NO KEY UPDATE SKIP LOCKED
), rule AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rules)s::jsonb) AS one (
        credential_type text, tiers int[], weekly_after bool, manager_from int, compliance_from int)
), step AS MATERIALIZED (
    SELECT held.*, rule.manager_from, rule.compliance_from, reached.tier, earlier.told_id, earlier.open_id,
           held.is_here AND earlier.closed_because IN ('renewed', 'withdrawn') AS is_back,
           uuidv7() AS alert_id, held.is_here AND reached.tier IS NOT NULL AND earlier.told_id IS NULL AS is_new,
           CASE WHEN NOT held.is_here THEN %(today)s::date + 7
                ELSE held.expiry_date - (SELECT max(tier) FROM unnest(rule.tiers) tier WHERE tier < held.days_left)
           END AS next_tier_on,
           CASE WHEN rule.weekly_after THEN held.expiry_date + 7 * (greatest(-held.days_left, 0) / 7 + 1) END AS week_on
    FROM ({people}
    ) held
    CROSS JOIN LATERAL (SELECT * FROM rule WHERE rule.credential_type = held.credential_type LIMIT 1) rule
    CROSS JOIN LATERAL (
        SELECT CASE WHEN rule.weekly_after AND held.days_left <= -7
                    THEN greatest(-7 * (-held.days_left / 7), -32767)
                    ELSE (SELECT min(tier) FROM unnest(rule.tiers) tier WHERE tier >= held.days_left) END AS tier
        OFFSET 0  -- else it would be worked out for each place it is named in
    ) reached
    CROSS JOIN LATERAL (
        SELECT (array_agg(alert.id ORDER BY alert.tier)
                    FILTER (WHERE alert.expiry_date = held.expiry_date AND alert.tier <= reached.tier))[1] AS told_id,
               (array_agg(alert.closed_because ORDER BY alert.tier)
                    FILTER (WHERE alert.expiry_date = held.expiry_date AND alert.tier <= reached.tier))[1]
                   AS closed_because,
               (array_agg(alert.id) FILTER (WHERE alert.closed_at IS NULL))[1] AS open_id
        FROM credentials_credentialalert alert WHERE alert.{link} = held.id
    ) earlier
), raised AS (
    INSERT INTO credentials_credentialalert
        (id, created_at, updated_at, is_deleted, {link}, credential_type, tier, expiry_date, closed_because)
    SELECT alert_id, now(), now(), false, id, credential_type, tier, expiry_date, '' FROM step WHERE is_new
    RETURNING 1
), closed AS (
    UPDATE credentials_credentialalert alert
    SET closed_at = now(), closed_because = CASE WHEN step.is_here THEN 'followed' ELSE 'withdrawn' END,
        updated_at = now()
    FROM step WHERE alert.id = step.open_id AND (step.is_new OR NOT step.is_here)
    RETURNING closed_because
), reopened AS (
    UPDATE credentials_credentialalert alert
    SET closed_at = NULL, closed_because = '', credential_type = step.credential_type, updated_at = now()
    FROM step WHERE alert.id = step.told_id AND step.is_back
    RETURNING 1
), moved AS (
    UPDATE {table} held SET next_alert_on = coalesce(step.next_tier_on, step.week_on)
    FROM step WHERE held.id = step.id RETURNING 1
), listener AS (
    SELECT CASE WHEN is_new THEN alert_id ELSE told_id END AS alert_id, is_back, step.alert_id AS time_id, audience,
           recipient_id
    FROM step CROSS JOIN LATERAL (
        SELECT 'holder', step.user_id
        UNION ALL SELECT 'manager', coalesce(nullif(({boss}), step.user_id), ({head}))
                  WHERE step.tier <= step.manager_from
        UNION ALL SELECT 'compliance', unnest(%(compliance)s::uuid[]) WHERE step.tier <= step.compliance_from
    ) AS one (audience, recipient_id)
    WHERE (step.is_new OR step.is_back) AND recipient_id IS NOT NULL
      AND (audience = 'holder' OR recipient_id <> step.user_id)
      AND (step.is_new OR NOT EXISTS (
          SELECT FROM credentials_credentialnotice earlier
          WHERE earlier.alert_id = step.told_id AND earlier.recipient_id = one.recipient_id
            AND (earlier.status = 'pending' OR (earlier.status <> 'not_needed' AND EXISTS (
                SELECT FROM credentials_credentialnotice own WHERE own.alert_id = step.told_id
                  AND own.recipient_id = step.user_id AND own.audience = 'holder' AND own.status <> 'not_needed')))))
), planned AS (
    INSERT INTO credentials_credentialnotice
        (id, created_at, updated_at, is_deleted, alert_id, audience, recipient_id, day, status, dedupe_key)
    SELECT uuidv7(), now(), now(), false, alert_id, audience, recipient_id, %(today)s::date, 'pending',
           'alert:' || alert_id || ':' || recipient_id || CASE WHEN is_back THEN ':' || time_id ELSE '' END
    FROM listener ON CONFLICT (dedupe_key) DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM due) AS "looked at", (SELECT count(*) FROM raised) AS raised,
       (SELECT count(*) FROM closed WHERE closed_because = 'followed') AS followed,
       (SELECT count(*) FROM closed WHERE closed_because = 'withdrawn') AS withdrawn,
       (SELECT count(*) FROM reopened) AS reopened, (SELECT count(*) FROM planned) AS told"""

# Rules that changed: the next look is the day of the first tier or, once that is past, today. What somebody writes to
# is passed over and told of, for who holds one row and waits for another deadlocks with who renews; it is moved alone.
MOVE = """
WITH wanted AS MATERIALIZED (
    SELECT held.id, held.replaced_by_id FROM {table} held
    WHERE held.credential_type = %(kind)s AND held.id > %(after)s::uuid
      AND held.expiry_date IS NOT NULL AND NOT held.is_deleted AND held.rejected_at IS NULL
      AND NOT EXISTS (SELECT FROM {table} other WHERE other.id = held.replaced_by_id
                      AND NOT other.is_deleted AND other.rejected_at IS NULL)
    ORDER BY held.id LIMIT %(chunk)s
), picked AS MATERIALIZED (
    SELECT held.id, greatest(held.expiry_date - %(first)s, %(today)s::date) AS look_on
    FROM wanted JOIN {table} held ON held.id = wanted.id
    WHERE held.expiry_date IS NOT NULL AND NOT held.is_deleted AND held.rejected_at IS NULL
      AND held.replaced_by_id IS NOT DISTINCT FROM wanted.replaced_by_id
    FOR NO KEY UPDATE OF held {if_taken}
), moved AS (
    UPDATE {table} held SET next_alert_on = picked.look_on FROM picked
    WHERE held.id = picked.id AND held.next_alert_on IS DISTINCT FROM picked.look_on RETURNING 1
)
SELECT (SELECT count(*) FROM moved) AS moved, (SELECT id FROM wanted ORDER BY id DESC LIMIT 1) AS last,
       ARRAY(SELECT id FROM wanted WHERE NOT EXISTS (SELECT FROM picked WHERE picked.id = wanted.id)) AS taken"""

OF_ALL = {"boss": BOSS.format(is_open=OPEN), "head": HEAD.format(is_open=OPEN)}
OF_DOCTORS = OF_ALL | {
    "table": "doctors_doctorcredential", "holder": "doctor_id", "link": "doctor_credential_id",
    "people": DOCTORS.format(is_open=OPEN),
}  # fmt: skip
OF_EMPLOYEES = OF_ALL | {
    "table": "employees_employeecredential", "holder": "employee_id", "link": "employee_credential_id",
    "people": EMPLOYEES.format(is_open=OPEN),
}  # fmt: skip

STEPS = (STEP.format(**OF_DOCTORS), STEP.format(**OF_EMPLOYEES))
APPLY = [
    (MOVE.format(if_taken="SKIP LOCKED", **of), MOVE.format(if_taken="", **of)) for of in (OF_DOCTORS, OF_EMPLOYEES)
]
