"""Where the operators' pages are."""

from django.urls import path

from backend.apps.interop import console, critical_pages, lab_actions, lab_pages, replay_pages

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
]
