"""Takes out of a line of the log what looks like a patient's data or a secret; without it a library's words would tell.

Our own lines hold none: this is the second wall, for whatever somebody else's code writes.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType

from django.core.exceptions import ImproperlyConfigured

GONE = "..."
HL7 = "MSH|PID|PD1|PV[12]|NK1|MRG|OBX|OBR|ORC|NTE|IN[123]|GT1|AL1|DG1|PR1|ERR|MSA|TXA|SPM|FHS|BHS"
X12 = "ISA|GS|ST|BHT|HL|NM1|N[1-4]|DMG|PER|SBR|CLM|CLP|HI|SVC|SV[12]|DTP|REF|TRN|EB|AAA|MSG|LX|CAS|PLB|IK[345]|CTX"
# What a line has to have in small letters for it to fit, how it looks, and what is left in its place.
# A stranger's words come into lines: no pattern may look at a text from each of its places to the end again.
RULES = tuple(
    (needs.split(), re.compile(pattern), f"{left}{GONE}")
    for needs, pattern, left in (
        ("detail: context:", r"\b(DETAIL|CONTEXT):[^\r\n]*", r"\1: "),  # of PostgreSQL: values of the row
        ("line", r"\bLINE \d+:[^\r\n]*(?:\r?\n *\^)?", "LINE: "),
        ("type", r"\bfor type [\w ]{1,64}: \"[^\r\n]*", "for type "),
        ("|", rf"\b(?:{HL7})(?=\|)[^\r\n]*", "segment "),
        ("*", rf"\b(?:{X12})(?=\*)[^~\r\n]*", "segment "),
        ("/a/", r"/a/[A-Za-z0-9_-]{16,}", "/a/"),  # a token of `messaging.links`, whole or cut
        ("eyj", r"(?<![\w-])eyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)*", "token "),
        ("bearer basic", r"(?i:\b(?:bearer|basic) )[\w+/=.~-]{8,}", "secret "),
        (
            "passw secret token key authorization signature",
            r"(?i:\b((?:password|passwd|secret|token|api[_-]?key|authorization|signature)[\"']?[=:] ?[\"']?))"
            r"[^\s\"'&,;]{3,}",
            r"\1",
        ),
        ("://", r"(?<=[a-z])://[^/\s@:]{0,256}:[^/\s@]{1,1024}@", "://"),  # a login in a URL
        ("?", r"(?<=[\w/.-])\?[\w.%\[\]-]+=[^\s\"'<>]*", "?"),
        ("@", r"[\w.+%-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,24}\b", "mailbox "),
        ("mrn", r"\bMRN[ :#]?\d+\b", "MRN"),
    )
)
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
NUMBERS = tuple(
    (re.compile(pattern), f"{left}{GONE}")
    for pattern, left in (
        (r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])", "number "),
        (
            r"(?<![\w.:/-])(?:\+\d[\d().  -]{6,18}\d|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w-])",
            "number ",
        ),
        (r"(?:(?<![\w.:/-])|(?<=[A-Za-z]:))1?[2-9]\d{2}[2-9]\d{6}(?![\w-]|[.:]\d)", "number "),
        (r"\bdate(?:time)?\((?:1[89]|20)\d\d, \d\d?, \d\d?", "day "),  # as Python writes one
        (r"(?<![\w.-])(?:1[89]|20)\d\d-[01]\d-[0-3]\d(?!\d|-|[A-Za-z_](?!00:00)| (?!00:00)\d\d:\d\d)", "day "),
        (  # of HL7 with the time of day
            r"(?<![\w.-])(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[0-2]\d[0-5]\d(?:[0-5]\d)?)?"
            r"(?![\w-]|\.\w)",
            "day ",
        ),
        (r"(?<![\w./-])[0-3]?\d([/.-])[0-3]?\d\1(?:1[89]|20)\d\d(?![\w/-]|\.\d)", "day "),
        (r"(?<![\w./-])(?:1[89]|20)\d\d/[01]?\d/[0-3]?\d(?![\w/-]| \d\d:)", "day "),
        (rf"\b(?:{MONTH} [0-3]?\d,?|[0-3]?\d {MONTH}) (?:1[89]|20)\d\d\b(?! \d\d:)", "day "),
    )
)
DIGITS = re.compile(r"\d{3}[-) .]?\d|\d/[0-3]?\d/\d|\+\d")
WITH_TEXT = os.environ.get("CARERELAY_ENV") != "production"  # of exceptions: a name cannot be told by its look
FAILED_TASK = "celery.app.trace"  # puts what a task raised, and its text, into the message
HARMLESS = (ImproperlyConfigured, ImportError)  # tell of settings and modules, which whoever starts a part has to know
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def cleaned(text: str) -> str:
    """Return `text` without what looks like a patient's data or a secret; what stood there is named by its kind."""
    small = text.lower()
    for needs, pattern, left in RULES:
        for need in needs:
            if need in small:
                text = pattern.sub(left, text)
                break
    if DIGITS.search(text):
        for pattern, left in NUMBERS:
            text = pattern.sub(left, text)
    return text


def one_entry(text: str) -> str:
    """Return `text` so that it cannot pass for several entries, nor steer a terminal: further lines are marked."""
    if text.isprintable():
        return text
    return CONTROL.sub(_escaped, text.replace("\r\n", "\n")).replace("\n", "\n  | ")


class Record(logging.LogRecord):
    """What is logged, by whichever logger and to whichever handler: its words are cleaned before any of them asks."""

    _told: str | None = None

    def getMessage(self) -> str:  # noqa: N802  # the name the library knows
        """The words, cleaned; in production also without the text of the exception the record is about."""
        try:
            words = super().getMessage()
        except (TypeError, ValueError, LookupError):  # logging itself would print all values beside its complaint
            words = f"{self.msg} (with values that do not fit it)"
        error = self.exc_info[1] if self.exc_info else None
        if error is not None and not WITH_TEXT:
            words = without_text(self, error) or left_out(words, error)
        return cleaned(words)

    @property
    def exc_text(self) -> str | None:
        """The traceback as formatters write it; the text of the exception is cleaned, and in production left out."""
        if self._told is None and self.exc_info and (error := self.exc_info[1]):
            self._told = told(error)
        return self._told

    @exc_text.setter
    def exc_text(self, told: str | None) -> None:
        self._told = told if told is None else cleaned(told)


def clean(record: logging.LogRecord) -> Record:
    """Return a record whose words are cleaned, also of one that was made past the loggers of this process."""
    if isinstance(record, Record):
        return record
    own = Record("", 0, "", 0, "", None, None)
    own.__dict__.update(record.__dict__)
    return own


def kinds(error: BaseException) -> str:
    """Return the type of an exception and of those that led to it: "KeyError from ValueError"."""
    return " from ".join(type(one).__name__ for one in _chain(error))


def told(error: BaseException) -> str:
    """Return the traceback of an exception, cleaned; in production its places and its kinds alone."""
    if WITH_TEXT:
        return cleaned("".join(traceback.format_exception(error)).rstrip("\n"))
    return cleaned("".join([*traceback.format_tb(error.__traceback__), kinds(error)]))


def without_text(record: logging.LogRecord, error: BaseException) -> str:
    """Return Celery's line of a task that failed by the kind of what it raised; "" for any other record."""
    task = getattr(record, "data", None)
    if record.name != FAILED_TASK or not isinstance(task, Mapping):
        return ""
    return f"Task {task.get('name')}[{task.get('id')}] {task.get('description')}: {type(error).__name__}"


def left_out(words: str, error: BaseException) -> str:
    """Return words in which an exception, or one that led to it, was quoted: with its kind in place of its text."""
    for one in _chain(error):
        for text in (repr(one), str(one), *(part for part in one.args if isinstance(part, str))):
            if len(text) > 1:  # a single letter or digit is in any word
                words = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", type(one).__name__, words)
    return words


def _chain(error: BaseException) -> list[BaseException]:
    found, one = list[BaseException](), error
    while one and len(found) < 10:
        found.append(one)
        one = one.__cause__ or one.__context__  # type: ignore[assignment]  # ends the loop
    return found


def install() -> None:
    """Let every record of this process be a clean one, and nothing be told of an exception but by our own words."""
    logging.setLogRecordFactory(Record)
    sys.excepthook, sys.unraisablehook, threading.excepthook = process_died, not_raised, thread_died
    logging.raiseExceptions = WITH_TEXT  # it prints the values of a line that it cannot write
    logging.captureWarnings(not WITH_TEXT)  # they quote values too


def process_died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell on the error stream of what ends the process; of settings that cannot be meant, with its sentence.

    Whoever types into a shell is told all there is, as by every answer there.
    """
    words = told(error.with_traceback(trace))
    if not WITH_TEXT and (isinstance(error, HARMLESS) or hasattr(sys, "ps1")):
        words = cleaned(f"{''.join(traceback.format_tb(trace))}{kind.__module__}.{kind.__name__}: {error}")
    sys.stderr.write(f"{words}\n")


def not_raised(met: sys.UnraisableHookArgs) -> None:
    """Tell by the log of an exception where none can be raised, as while something is thrown away."""
    if met.exc_value is not None:
        how = (met.exc_type, met.exc_value, met.exc_traceback)
        logging.getLogger(__name__).error("an exception that could not be raised", exc_info=how)


def thread_died(died: threading.ExceptHookArgs) -> None:
    """Tell by the log of a thread that ended with an exception; Python itself would write its text."""
    if died.exc_value is not None and not isinstance(died.exc_value, SystemExit):
        how = (died.exc_type, died.exc_value, died.exc_traceback)
        logging.getLogger(__name__).error("a thread died", exc_info=how)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
