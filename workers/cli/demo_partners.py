"""The providers of texts and e-mails of a demo day, on this machine; without them its messages would leave nowhere."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from integrations.doubles import sendgrid, twilio
from integrations.doubles.sendgrid import SendGridDouble, SentEmail
from integrations.doubles.trouble import Trouble
from integrations.doubles.twilio import SentSms, TwilioDouble
from workers.cli import console

LATENCY_S, LOOK_EVERY_S, ANSWER_S = 0.05, 0.2, 20
FAIL_SHARE = 0.03  # of what was taken, that does not arrive
FAULT_SHARE, MOST_FAULTS = 0.12, 15  # of each provider
TOKEN = "demo-twilio-token"
PACE = {  # so that the day has a middle, and what is lost is looked for soon
    "CARERELAY_SMS_PER_SECOND": "4",
    "CARERELAY_EMAILS_PER_SECOND": "4",
    "CARERELAY_UNCERTAIN_AFTER_S": "15",
}


@dataclass
class Partners:
    """Both providers, what goes wrong at them, and the reports they send to the stack."""

    seed: int
    twilio: TwilioDouble = field(default_factory=lambda: TwilioDouble(latency_s=LATENCY_S))
    sendgrid: SendGridDouble = field(default_factory=lambda: SendGridDouble(latency_s=LATENCY_S))
    troubles: dict[str, Trouble] = field(default_factory=dict)
    reported: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._key, self.public_key = sendgrid.key_pair()
        self._dice = random.Random(f"{self.seed} reports")  # noqa: S311 - a plan, not a secret
        self._seen: Counter[str] = Counter()
        self._stop = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """What a stack without any other setting needs to send here and to believe what is reported from here."""
        theirs = {"TWILIO_AUTH_TOKEN": TOKEN, "SENDGRID_API_KEY": "demo-key", "SENDGRID_FROM": "clinic@example.org"}
        chosen = {"CARERELAY_SMS": "twilio", "CARERELAY_EMAIL": "sendgrid", "SENDGRID_ACTIVITY_FEED": "1"}
        where = {"SENDGRID_BASE_URL": self.sendgrid.url, "SENDGRID_WEBHOOK_KEYS": self.public_key}
        return {**self.twilio.environment, **theirs, **chosen, **where, **PACE}

    def begin_trouble(self) -> None:
        """From now on some requests go wrong, drawn from the seed."""
        for name, double in (("Twilio", self.twilio), ("SendGrid", self.sendgrid)):
            plan = f"{self.seed} {name}"
            self.troubles[name] = Trouble(plan, share=FAULT_SHARE, most=MOST_FAULTS, tell=_teller(name))
            double.trouble = self.troubles[name]

    def end_trouble(self) -> None:
        self.twilio.trouble = self.sendgrid.trouble = None

    @contextmanager
    def reporting(self, web_url: str) -> Iterator[None]:
        """Report to the stack what becomes of each message that is taken here, signed as the providers sign."""
        thread = threading.Thread(target=self._report_on, args=(web_url,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(2 * ANSWER_S)

    def is_all_reported(self) -> bool:
        return self._seen == {"sms": len(self.twilio.sent), "email": len(self.sendgrid.sent)}

    def _report_on(self, web_url: str) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for sms in self.twilio.sent[self._seen["sms"] :]:
                self._report_text(web_url, sms)
                self._seen["sms"] += 1
            mails = self.sendgrid.sent[self._seen["email"] :]
            if mails:
                self._report_mails(web_url, mails)
            self._seen["email"] += len(mails)

    def _report_text(self, web_url: str, sms: SentSms) -> None:
        """Report on one text, to nobody but the stack; under trouble the last word comes first, and twice."""
        if not sms.status_callback:
            return
        if not sms.status_callback.startswith(f"{web_url}/"):
            console.say(f"{'report':16}{sms.sid}  is wanted elsewhere than at the stack   <- NOT as it should be")
            return
        failed = self._dice.random() < FAIL_SHARE
        last = ("undelivered", 30005) if failed else ("delivered", None)
        words: list[tuple[str, int | None]] = [("sent", None), last]
        self.twilio.change(sms.sid, status=last[0], error_code=last[1])
        for word, code in [last, *words] if self.troubles else words:
            form = twilio.status_form(sms, word, error_code=code)
            self._post(sms.status_callback, {"X-Twilio-Signature": twilio.sign(sms.status_callback, form, TOKEN)}, form)
        self.reported[last[0]] += 1

    def _report_mails(self, web_url: str, mails: list[SentEmail]) -> None:
        events = [event for mail in mails for event in self._events_of(mail)]
        body = json.dumps(events).encode()
        headers = {"Content-Type": "application/json", **sendgrid.sign(body, self._key)}
        for _ in range(2 if self.troubles else 1):
            self._post(f"{web_url}/webhooks/sendgrid/events", headers, body)

    def _events_of(self, mail: SentEmail) -> list[dict[str, Any]]:
        failed = self._dice.random() < FAIL_SHARE
        last = sendgrid.event(mail, "bounce", type="bounce") if failed else sendgrid.event(mail, "delivered")
        self.reported[last["event"]] += 1
        first = sendgrid.event(mail, "processed")
        return [last, first] if self.troubles else [first, last]

    def _post(self, url: str, headers: dict[str, str], body: bytes | Mapping[str, str]) -> None:
        """Post until the stack takes it, as providers do, though not for as long."""
        for _ in range(10):
            try:
                if requests.post(url, data=body, headers=headers, timeout=ANSWER_S).ok:
                    return
            except requests.RequestException:
                pass
            if self._stop.wait(1):
                return
        console.say(f"{'report':16}{url.partition('?')[0]}  was not taken   <- NOT as it should be")


def _teller(name: str) -> Any:
    return lambda kind: console.say(f"{'fault':16}{name}  {kind}")


@contextmanager
def opened(found: Partners, web_url: str) -> Iterator[None]:
    """Let the providers answer; not before the stack is started, for a process forks best without threads."""
    with ExitStack() as doors:
        doors.enter_context(found.twilio)
        doors.enter_context(found.sendgrid)
        doors.enter_context(found.reporting(web_url))
        yield
