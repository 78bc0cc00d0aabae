"""When things happen. One table: name, sentence, task, period or crontab. What happens is in `workers/`."""

from celery.schedules import crontab

SCHEDULE = {
    "sweep overdue rows": {"task": "sweep.overdue", "schedule": 15.0},
    "audit seal": {"task": "audit.seal", "schedule": 10.0},
    "audit verify": {"task": "audit.verify", "schedule": 3600.0},  # what is new; once a day all
    "audit months": {"task": "audit.partitions", "schedule": crontab(hour="6", minute="30")},  # UTC
    "certificates that end": {"task": "sweep.certificates", "schedule": crontab(hour="10", minute="5")},  # UTC
    "calls refused": {"task": "audit.count_refused", "schedule": 60.0},
    "catch up": {"task": "sweep.catch_up", "schedule": 60.0},
    "dispatch due reminders": {"task": "reminders.dispatch", "schedule": 15.0},
    "hold work whose outcome is unknown": {"task": "sweep.hold_lost", "schedule": 60.0},
    "reconcile uncertain sends": {"task": "reminders.reconcile", "schedule": 60.0},
    "poll provider statuses": {"task": "reminders.poll_statuses", "schedule": 300.0},
    "alerts unacknowledged": {"task": "alerts.remind", "schedule": 300.0},
    "critical results unacknowledged": {"task": "critical_results.escalate", "schedule": 60.0},
    "overdue results": {"task": "lab_watch.overdue_results", "schedule": 300.0},
    "orders in trouble": {"task": "lab_orders.watch", "schedule": 60.0},
    "feed silence": {"task": "lab_watch.feed_silence", "schedule": 300.0},
    "waitlist holds": {"task": "waitlist.watch", "schedule": 60.0},
    "mark no-shows": {"task": "visits.mark_no_shows", "schedule": 900.0},
    "expire prescriptions": {"task": "prescriptions.expire", "schedule": crontab(minute="2")},  # the clinic's midnight
    "refill requests waiting": {"task": "prescriptions.refills_waiting", "schedule": 3600.0},
    "time-off balances": {"task": "staff.accrue", "schedule": crontab(hour="10", minute="20")},  # UTC
    "emergency accesses to review": {"task": "staff.emergencies", "schedule": crontab(hour="11", minute="0")},  # UTC
    "reviews due": {"task": "staff.reviews_due", "schedule": crontab(hour="10", minute="40")},  # UTC
    "build claim interchanges": {"task": "claims.build", "schedule": 900.0},
    "collect answers to claims": {"task": "claims.collect", "schedule": 600.0},
    "connections to try": {"task": "claims.probe", "schedule": 900.0},
    "recalls": {"task": "recalls.remind", "schedule": crontab(hour="14", minute="0")},  # UTC; the next day catches up
    "ask payers": {"task": "eligibility.build", "schedule": 900.0},
    "insurance re-verification due": {"task": "eligibility.due", "schedule": crontab(hour="9", minute="10")},  # UTC
    "questions without an answer": {"task": "eligibility.expire", "schedule": 3600.0},
    "claim files silent": {"task": "claims_watch.look", "schedule": 3600.0},
    "registry checks": {"task": "credentials.check_registries", "schedule": crontab(hour="9", minute="50")},  # UTC
    "reconcile": {"task": "reconcile.daily", "schedule": crontab(hour="8", minute="0")},  # UTC
    "expire exports": {"task": "fhir_export.expire", "schedule": 3600.0},
    "claims silent too long": {"task": "claims_watch.look_daily", "schedule": crontab(hour="9", minute="30")},  # UTC
    "retention purge": {"task": "retention.purge", "schedule": crontab(hour="7", minute="10")},  # UTC
    "tokens and links expired": {"task": "retention.expire_tokens", "schedule": 3600.0},
    "fold tallies": {"task": "retention.fold_tallies", "schedule": crontab(hour="7", minute="40")},  # UTC
    "exceptions that ended": {"task": "credentials.clear_overrides", "schedule": 300.0},
    "credential tiers": {"task": "credentials.sweep", "schedule": crontab(minute="5")},  # by the clinic's own day
}
