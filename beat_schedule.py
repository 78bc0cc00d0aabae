"""When things happen. One table: name, sentence, task, period or crontab. What happens is in `workers/`."""

SCHEDULE = {
    "sweep overdue rows": {"task": "sweep.overdue", "schedule": 15.0},
    "hold work whose outcome is unknown": {"task": "sweep.hold_lost", "schedule": 60.0},
}
