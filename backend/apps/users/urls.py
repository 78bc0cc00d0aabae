"""Addresses of signing in and of logins."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from backend.apps.users import mfa_views, views

router = SimpleRouter()
router.register("users", views.UserViewSet, basename="user")
urlpatterns = [
    path("auth/token/", views.TokenView.as_view(), name="token"),
    path("auth/token/mfa/", views.CodeView.as_view(), name="token-mfa"),
    path("auth/token/refresh/", views.RefreshView.as_view(), name="token-refresh"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/me/", views.MeView.as_view(), name="me"),
    path("auth/password/", views.PasswordView.as_view(), name="password"),
    path("auth/sessions/", views.SessionsView.as_view(), name="sessions"),
    path("auth/sessions/<uuid:pk>/", views.SessionView.as_view(), name="session"),
    path("auth/mfa/", mfa_views.StandingView.as_view(), name="mfa"),
    path("auth/mfa/enrol/", mfa_views.EnrolView.as_view(), name="mfa-enrol"),
    path("auth/mfa/confirm/", mfa_views.ConfirmView.as_view(), name="mfa-confirm"),
    path("auth/mfa/recovery-codes/", mfa_views.RecoveryCodesView.as_view(), name="mfa-recovery-codes"),
    *router.urls,
]
