"""Holds that the owner of a login hears by mail what happened to it, once, and that nobody else does."""

from __future__ import annotations

import pytest
from django.contrib.postgres.functions import TransactionNow

from backend.apps.core.work import WorkState
from backend.apps.users import guards, second_step
from backend.apps.users.models import LoginGuard, LoginNotice, Notice, User
from backend.apps.users.tests.factories import make_user
from integrations.doubles.sendgrid import SendGridDouble
from workers.sign_ins import SUBJECTS, WORDS, tell_due

pytestmark = pytest.mark.django_db


def deliver() -> str:
    """Send what waits; a test is one transaction, in which the clock of the database stands still."""
    LoginNotice.work.update(due_at=TransactionNow())
    return tell_due()


def lock(user: User | None, email: str) -> None:
    for _ in range(guards.MOST):
        guards.count(email, guards.PASSWORD, user, is_wrong=True)


def test_the_owner_of_a_locked_login_gets_one_mail_and_a_login_nobody_has_gets_none(mails: SendGridDouble) -> None:
    user = make_user("nurse")
    lock(user, user.email)
    lock(None, "nobody@example.org")
    deliver()
    (mail,) = mails.sent
    assert (mail.to, mail.subject) == (user.email, "Clinic: your login was locked for a quarter of an hour")
    assert mail.headers["Auto-Submitted"] == "auto-generated"
    assert deliver() == "nothing due"
    assert LoginNotice.work.filter(work_state=WorkState.DONE).count() == 2
    assert LoginNotice.work.get(user=user).sent_at is not None


def test_a_lock_is_told_of_also_when_it_is_over_before_the_mail_leaves(mails: SendGridDouble) -> None:
    user = make_user("nurse")
    lock(user, user.email)
    LoginGuard.objects.update(locked_until=TransactionNow())
    deliver()
    assert [mail.to for mail in mails.sent] == [user.email]


@pytest.mark.parametrize("kind", sorted(Notice.values))
def test_each_change_has_its_words_and_says_what_to_do(mails: SendGridDouble, kind: str) -> None:
    user, gone = make_user("nurse"), make_user("nurse", is_active=False)
    for owner in (user, gone):
        second_step.tell(owner, Notice(kind))
    deliver()
    (mail,) = mails.sent
    assert (mail.to, mail.subject) == (user.email, f"Clinic: {SUBJECTS[kind]}")
    assert mail.text.startswith(f"{WORDS[kind]}\n\nIf this was not you")
