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

from integrations.doubles import sendgrid, trouble, twilio
from integrations.doubles.sendgrid import SendGridDouble, SentEmail
from integrations.doubles.trouble import Trouble
from integrations.doubles.twilio import SentSms, TwilioDouble
from workers.cli import console

LATENCY_S, LOOK_EVERY_S, ANSWER_S, MAIL_TRIES = 0.05, 0.2, 20, 10
FAIL_SHARE = 0.03  # of what was taken, that does not arrive
FAULT_SHARE, MOST_FAULTS = 0.12, 15  # of each provider
SILENT_OF = 10  # under trouble, of so many texts one is never reported on
TOKEN, KEY = "demo-twilio-token", "demo-key"  # of nobody
WORDS = {"delivered": "delivered", "undelivered": "bounced", "bounce": "bounced"}  # theirs: ours
A_SECOND = 4  # texts, and e-mails, so that the day has a middle
PACE = {  # and what is lost is looked for soon
    "CARERELAY_SMS_PER_SECOND": f"{A_SECOND}",
    "CARERELAY_EMAILS_PER_SECOND": f"{A_SECOND}",
    "CARERELAY_UNCERTAIN_AFTER_S": "15",
}


@dataclass
class Partners:
    """Both providers, what goes wrong at them, and the reports they send to the stack.

    reported: how many messages ended so, in our words. untaken: reports the stack did not take. silent: the texts that
    are not reported on, by their names at Twilio.
    """

    seed: int
    twilio: TwilioDouble = field(default_factory=lambda: TwilioDouble(latency_s=LATENCY_S, token=TOKEN))
    sendgrid: SendGridDouble = field(default_factory=lambda: SendGridDouble(latency_s=LATENCY_S, key=KEY))
    troubles: dict[str, Trouble] = field(default_factory=dict)
    reported: Counter[str] = field(default_factory=Counter)
    untaken: int = 0
    silent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._key, self.public_key = sendgrid.key_pair()
        self._dice = random.Random(f"{self.seed} reports")  # noqa: S311 - a plan, not a secret
        self._seen: Counter[str] = Counter()
        self._stop = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """What a stack without any other setting needs to send here and to believe what is reported from here."""
        theirs = {"TWILIO_AUTH_TOKEN": TOKEN, "SENDGRID_API_KEY": KEY, "SENDGRID_FROM": "clinic@example.org"}
        chosen = {"CARERELAY_SMS": "twilio", "CARERELAY_EMAIL": "sendgrid", "SENDGRID_ACTIVITY_FEED": "1"}
        where = {"SENDGRID_BASE_URL": self.sendgrid.url, "SENDGRID_WEBHOOK_KEYS": self.public_key}
        return {**self.twilio.environment, **theirs, **chosen, **where, **PACE}

    def begin_trouble(self, texts: int, mails: int) -> None:
        """From now on some of so many requests go wrong, as the seed wants it."""
        twilios, sendgrids = trouble.kinds(twilio.refusal), trouble.kinds(sendgrid.refusal)
        for name, kinds, count in (("Twilio", twilios, texts), ("SendGrid", sendgrids, mails)):
            terms: dict[str, Any] = {"requests": count, "share": FAULT_SHARE, "most": MOST_FAULTS}
            self.troubles[name] = Trouble(f"{self.seed} {name}", kinds, **terms, tell=_teller(name))
        self.twilio.trouble, self.sendgrid.trouble = self.troubles["Twilio"], self.troubles["SendGrid"]

    def end_trouble(self) -> None:
        self.twilio.trouble = self.sendgrid.trouble = None

    @property
    def missed(self) -> dict[str, list[str]]:
        """The faults that were planned and did not come, by provider."""
        return {name: sorted(one.planned.values()) for name, one in self.troubles.items() if one.planned}

    @property
    def sent(self) -> int:
        """How many messages both have taken."""
        return len(self.twilio.sent) + len(self.sendgrid.sent)

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
        return (self._seen["sms"], self._seen["email"]) == (len(self.twilio.sent), len(self.sendgrid.sent))

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
        """Report on one text, to nobody but the stack; under trouble the last word comes first and twice, or never."""
        if not sms.status_callback:
            return
        if not sms.status_callback.startswith(f"{web_url}/"):
            self.untaken += 1
            console.say(f"{'report':16}{sms.sid}  is wanted elsewhere than at the stack   <- NOT as it should be")
            return
        failed = self._dice.random() < FAIL_SHARE
        last = ("undelivered", 30005) if failed else ("delivered", None)
        words: list[tuple[str, int | None]] = [("sent", None), last]
        self.twilio.change(sms.sid, status=last[0], error_code=last[1])
        self.reported[WORDS[last[0]]] += 1
        if self._is_silent_on(sms):
            return
        for word, code in [last, *words] if self.troubles else words:
            form = twilio.status_form(sms, word, error_code=code)
            signature = {"X-Twilio-Signature": twilio.sign(sms.status_callback, form, TOKEN)}
            self._post(sms.status_callback, signature, form, tries=1)

    def _is_silent_on(self, sms: SentSms) -> bool:
        """Choose every so many texts, not one that was reported on before the trouble began."""
        if not self.troubles:
            return False
        self._seen["under trouble"] += 1
        if self._seen["under trouble"] % SILENT_OF != 1:
            return False
        self.silent.append(sms.sid)
        return True

    def _report_mails(self, web_url: str, mails: list[SentEmail]) -> None:
        events = [event for mail in mails for event in self._events_of(mail)]
        body = json.dumps(events).encode()
        headers = {"Content-Type": "application/json", **sendgrid.sign(body, self._key)}
        for _ in range(2 if self.troubles else 1):
            self._post(f"{web_url}/webhooks/sendgrid/events", headers, body, tries=MAIL_TRIES)

    def _events_of(self, mail: SentEmail) -> list[dict[str, Any]]:
        failed = self._dice.random() < FAIL_SHARE
        last = sendgrid.event(mail, "bounce", type="bounce") if failed else sendgrid.event(mail, "delivered")
        self.sendgrid.change(mail.message_id, last["event"])
        self.reported[WORDS[last["event"]]] += 1
        first = sendgrid.event(mail, "processed")
        return [last, first] if self.troubles else [first, last]

    def _post(self, url: str, headers: dict[str, str], body: bytes | Mapping[str, str], *, tries: int) -> None:
        """Post until the stack takes it: Twilio does so once, SendGrid for longer than we do."""
        for _ in range(tries):
            try:
                if requests.post(url, data=body, headers=headers, timeout=ANSWER_S).ok:
                    return
            except requests.RequestException:
                pass
            if self._stop.wait(1):
                return
        self.untaken += 1
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
