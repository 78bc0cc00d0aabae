"""Addresses of the pages of signing in; those below admin/ stand before the admin's own and take their place."""

from django.urls import path

from backend.apps.users import account_pages, sign_in_pages

urlpatterns = [
    path("admin/login/", sign_in_pages.sign_in, name="sign-in"),
    path("admin/login/code/", sign_in_pages.code, name="sign-in-code"),
    path("admin/login/second-step/", sign_in_pages.set_up, name="second-step"),
    path("admin/logout/", sign_in_pages.sign_out, name="sign-out"),
    path("admin/password_change/", account_pages.password, name="account-password"),
    path("account/", account_pages.account, name="account"),
    path("account/device/", account_pages.device, name="account-device"),
    path("account/recovery-codes/", account_pages.recovery_codes, name="account-recovery-codes"),
]
