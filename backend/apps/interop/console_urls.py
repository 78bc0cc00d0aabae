"""Where the operators' pages are."""

from django.urls import path

from backend.apps.interop import (
    console,
    critical_pages,
    lab_actions,
    lab_pages,
    policy_pages,
    preview_pages,
    reminder_changes,
    reminder_pages,
    replay_pages,
    reply_pages,
)

app_name = "console"
urlpatterns = [
    path("", console.index, name="index"),
    path("labs/", lab_pages.listing, name="lab-inbox"),
    path("labs/patient/", lab_actions.by_number, name="lab-by-number"),
    path("labs/replay/", lab_actions.replay, name="lab-replay-new"),
    path("labs/critical/", critical_pages.listing, name="lab-critical"),
    path("labs/critical/<uuid:pk>/", critical_pages.result, name="lab-critical-result"),
    path("labs/critical/<uuid:pk>/acknowledge/", critical_pages.acknowledge, name="lab-critical-acknowledge"),
    path("labs/critical/<uuid:pk>/call/", critical_pages.note_call, name="lab-critical-call"),
    path("labs/results/<uuid:pk>/", lab_pages.history, name="lab-history"),
    path("labs/<uuid:pk>/", lab_pages.message, name="lab-message"),
    path("labs/<uuid:pk>/find/", lab_actions.find, name="lab-find"),
    path("labs/<uuid:pk>/assign/", lab_actions.assign, name="lab-assign"),
    path("labs/<uuid:pk>/unassign/", lab_actions.unassign, name="lab-unassign"),
    path("labs/<uuid:pk>/skip/", lab_actions.skip, name="lab-skip"),
    path("labs/<uuid:pk>/retry/", lab_actions.retry, name="lab-retry"),
    path("labs/<uuid:pk>/reveal/", lab_actions.reveal, name="lab-reveal"),
    path("labs/<uuid:pk>/map-code/", lab_actions.map_code, name="lab-map-code"),
    path("replays/", replay_pages.listing, name="lab-replays"),
    path("replays/<uuid:pk>/", replay_pages.replay, name="lab-replay"),
    path("replays/<uuid:pk>/apply/", replay_pages.apply, name="lab-replay-apply"),
    path("replays/<uuid:pk>/cancel/", replay_pages.cancel, name="lab-replay-cancel"),
    path("reminders/", reminder_pages.board, name="reminders"),
    path("reminders/bulk/", reminder_changes.bulk, name="reminder-bulk"),
    path("reminders/opt-outs/", reminder_pages.opt_outs, name="reminder-opt-outs"),
    path("reminders/preview/", preview_pages.foretold, name="reminder-preview"),
    path("reminders/policies/", policy_pages.policies, name="reminder-policies"),
    path("reminders/visits/<uuid:pk>/", reminder_pages.visit, name="reminder-visit"),
    path("reminders/<uuid:pk>/send-now/", reminder_changes.send_now, name="reminder-send-now"),
    path("reminders/<uuid:pk>/mute/", reminder_changes.mute, name="reminder-mute"),
    path("replies/", reply_pages.replies, name="replies"),
    path("replies/<uuid:pk>/handle/", reply_pages.handle, name="reply-handle"),
    path("replies/<uuid:pk>/opt-out/", reply_pages.opt_out, name="reply-opt-out"),
    path("tasks/", reply_pages.staff_tasks, name="tasks"),
    path("tasks/<uuid:pk>/complete/", reply_pages.complete, name="task-complete"),
]
