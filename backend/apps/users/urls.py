"""Addresses of signing in and of logins."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from backend.apps.users import views

router = SimpleRouter()
router.register("users", views.UserViewSet, basename="user")
urlpatterns = [
    path("auth/token/", views.TokenView.as_view(), name="token"),
    path("auth/token/refresh/", views.RefreshView.as_view(), name="token-refresh"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/me/", views.MeView.as_view(), name="me"),
    path("auth/password/", views.PasswordView.as_view(), name="password"),
    *router.urls,
]
