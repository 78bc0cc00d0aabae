"""Where the API speaks the outside's words."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter()

urlpatterns = router.urls
