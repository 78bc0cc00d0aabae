"""Where the watch over credentials is reached."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()

urlpatterns = router.urls
