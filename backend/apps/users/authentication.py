"""Placeholder until the sign-in lands: imports only."""

from rest_framework_simplejwt.authentication import JWTAuthentication


class SessionBoundJwt(JWTAuthentication):
    pass
