"""Where the watch over credentials is reached."""

from rest_framework.routers import SimpleRouter

from backend.apps.credentials import views

router = SimpleRouter()
router.register("credential-policies", views.CredentialPolicyViewSet, basename="credential-policy")
router.register("credential-rules", views.CredentialRulesViewSet, basename="credential-rules")
router.register("credential-alerts", views.CredentialAlertViewSet, basename="credential-alert")
router.register("credential-notices", views.CredentialNoticeViewSet, basename="credential-notice")

urlpatterns = router.urls
