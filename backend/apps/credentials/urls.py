"""Where the watch over credentials is reached."""

from rest_framework.routers import SimpleRouter

from backend.apps.credentials import override_views, registry_views, views

router = SimpleRouter()
router.register("credential-policies", views.CredentialPolicyViewSet, basename="credential-policy")
router.register("credential-rules", views.CredentialRulesViewSet, basename="credential-rules")
router.register("credential-alerts", views.CredentialAlertViewSet, basename="credential-alert")
router.register("credential-notices", views.CredentialNoticeViewSet, basename="credential-notice")
router.register("credential-overrides", override_views.CredentialOverrideViewSet, basename="credential-override")
router.register("registry-checks", registry_views.RegistryCheckViewSet, basename="registry-check")

urlpatterns = router.urls
