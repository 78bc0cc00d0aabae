"""Addresses of the app `messaging`."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()
urlpatterns = router.urls
