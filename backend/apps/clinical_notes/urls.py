"""Addresses of the app `clinical_notes`."""

from rest_framework.routers import SimpleRouter

from backend.apps.clinical_notes.views import (
    ClinicalNoteTemplateViewSet,
    ClinicalNoteViewSet,
    ProgressNoteViewSet,
    SOAPNoteViewSet,
)

router = SimpleRouter()
router.register("clinical-notes", ClinicalNoteViewSet, basename="clinical-note")
router.register("soap-notes", SOAPNoteViewSet, basename="soap-note")
router.register("progress-notes", ProgressNoteViewSet, basename="progress-note")
router.register("clinical-note-templates", ClinicalNoteTemplateViewSet, basename="clinical-note-template")
urlpatterns = router.urls
