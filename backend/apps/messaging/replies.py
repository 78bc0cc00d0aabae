"""Reads what a patient wrote back; without it a "Yes!" would wait for a person and a "stop texting me" for a judge."""

from __future__ import annotations

import enum
import re
import unicodedata

LONGEST = 1600  # characters; a text message has no more
WORD = re.compile(r"[^\W_]+")
APOSTROPHES = re.compile("['\u2019\u02bc`]")


class Intent(enum.StrEnum):
    CONFIRM = "confirm"
    RESCHEDULE = "reschedule"
    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    HELP = "help"
    OTHER = "other"  # a person reads it


FROM_PROVIDER = {"STOP": Intent.OPT_OUT, "START": Intent.OPT_IN, "HELP": Intent.HELP}

POLITE = frozenset(
    {"please", "pls", "thanks", "thank", "you", "thx", "ty", "ok", "okay", "por", "favor", "gracias", "muchas", "now"}
)
CONFIRM = frozenset({"1", "c", "confirm", "confirmed", "y", "yes", "si", "sí", "confirmo", "confirmar"})
WITH_CONFIRM = (
    CONFIRM
    | POLITE
    | frozenset(
        {"i", "will", "be", "there", "see", "then", "my", "the", "our", "appointment", "visit", "mi", "la", "cita"}
    )
)
CHOICE_2 = frozenset({"2", "r"})
RESCHEDULE = frozenset({"reschedule", "rescheduling", "change", "cambiar", "reprogramar"})
STOP = frozenset({"stop", "stopall", "unsubscribe", "optout", "alto", "parar"})  # nobody means a visit by these
STOP_ALONE = frozenset({"end", "quit", "revoke", "baja", "basta"})  # and a courtesy: "end of day" is for a person
STOP_BARE = "cancel"  # nothing beside it: "please cancel" may mean the visit
HELP = frozenset({"help", "info", "ayuda"})
OPT_IN = frozenset({"start", "unstop"})
NOT_STOP = frozenset(
    {"not", "dont", "didnt", "never"}
)  # before it; "no, stop" and "I cant come, stop" are none of these
WISHING = frozenset({"want", "wish", "to"})
NEGATED = re.compile(r"(?:do not|dont|never|no)\b")
NOT = NOT_STOP | {"no", "cannot", "cant", "without", "sin"}
NOT_AFTER_STOP = frozenset({"by", "in", "at", "over", "off", "for", "light", "sign"})  # "stop by at ten?"

WHICH = r"(?:all |any ?more |any |more |these |this |the |your |my |sending |receiving |getting )*"
MESSAGES = r"(?:texts|texting|text messag|messages|messaging|text reminder|reminders|sms|notifications|alerts)"
CUALES = r"(?:más |mas |recibir |sus |estos |los )*"
MENSAJES = r"(?:mensaj|texto|sms|recordator|notificaci|aviso)"

# In words without marks, so that "Don't text me!!" is "dont text me".
PHRASES = re.compile(
    r"\b(?:"
    r"stop all|stop (?:all )?(?:these |this |the |your )?(?:text|messag|reminder)"
    rf"|(?:stop|quit|end|cease|cancel) {WHICH}{MESSAGES}"
    rf"|(?:do not|dont|no longer) (?:want|wish|need) (?:to (?:get|receive|have) )?{WHICH}{MESSAGES}"
    r"|(?:do not|dont|no longer) (?:want|wish) to be (?:texted|messaged|contacted|reminded)"
    r"|^(?:please )?stop (?:at once|for (?:now|good|ever))"
    r"|(?:revok|withdraw)(?:e|ing)? (?:my |all |the )*(?:consent|permission)"
    r"|unsubscribe"
    r"|stop (?:sending|contacting|calling|reminding|writing|bothering)"
    r"|(?:i said|please|just|must|want (?:you |this |it )?to|make (?:it|this)) stop\b(?! (?:by|in|at|over|off)\b)"
    r"|opt(?:ing)? (?:me )?out"
    r"|(?:do not|dont|never) (?:ever )?(?:text|message|contact|remind|write|bother)(?: to)?"
    r"(?: me| us| this number| again| any ?more|$)"
    r"|(?:do not|dont|never) send (?:me )?(?:any ?more|more|these|text|messag|remind)"
    r"|no more (?:text|message|reminder)"
    r"|(?:remove|delete|take) (?:me|my (?:phone )?number)(?: off| from)?(?: (?:your|the|this)(?: \w+)? list|$)"
    r"|(?:remove|delete) my (?:phone )?number|leave me alone"
    r"|no (?:quiero que )?me (?:escriba|envíe|envie|mande|mensajee|contacte)"
    rf"|no (?:quiero|deseo) {CUALES}{MENSAJES}|no (?:quiero|deseo) (?:recibir )?(?:nada )?(?:más|mas)$"
    r"|(?:no (?:más|mas)|basta de) (?:mensajes|textos|recordatorios)"
    r"|(?<!\bno )dej(?:e|en|a) de (?:enviar|escribir|mandar|mensajear|contactar)|dar(?:me)? de baja"
    r")"
)


def intent(text: str, opt_out_type: str = "") -> Intent:
    """Return what the writer of `text` wants done.

    opt_out_type: the provider's own judgement (Twilio's OptOutType), which comes first: it has acted on it already.
    Only it makes a plain "yes" the end of an opt-out. An answer that says more than a choice and a courtesy is OTHER,
    for a person: "yes but later" confirms nothing.
    """
    if known := FROM_PROVIDER.get(opt_out_type.strip().upper()):
        return known
    words = _words(text)
    core = [word for word in words if word not in POLITE]
    if not core:
        return Intent.OTHER
    if _wants_out(words, core):
        return Intent.OPT_OUT
    if len(core) == 1:
        return _of_one(core[0])
    if core[0] in CONFIRM and WITH_CONFIRM.issuperset(words):
        return Intent.CONFIRM
    if RESCHEDULE.intersection(words) and not NOT.intersection(words):
        return Intent.RESCHEDULE
    return Intent.OTHER


def _of_one(word: str) -> Intent:
    """Return what an answer of one word means, courtesies aside."""
    for choices, meaning in (
        (CONFIRM, Intent.CONFIRM),
        (CHOICE_2 | RESCHEDULE, Intent.RESCHEDULE),
        (HELP, Intent.HELP),
        (OPT_IN, Intent.OPT_IN),
    ):
        if word in choices:
            return meaning
    return Intent.OTHER


def _wants_out(words: list[str], core: list[str]) -> bool:
    """Tell whether this asks for no more texts, in any words that a reasonable reader takes so.

    Source: 47 CFR 64.1200(a)(10): stop, quit, end, revoke, opt out, cancel, unsubscribe, and other reasonable means.
    """
    if words == [STOP_BARE] or (len(core) == 1 and core[0] in STOP | STOP_ALONE):
        return True
    if core[0] in STOP and core[1:2] and core[1] not in NOT_AFTER_STOP:
        return True
    return any(not _is_denied(found) for found in PHRASES.finditer(" ".join(words)))


def _is_denied(found: re.Match[str]) -> bool:
    """Tell whether a "not" stands before words that have none, as in "please don't stop texting me"."""
    before = [word for word in found.string[: found.start()].split() if word not in WISHING]
    return not NEGATED.match(found.group()) and bool(NOT_STOP.intersection(before[-2:]))


def _words(text: str) -> list[str]:
    """Return the words in lower case, without punctuation, emoji and apostrophes; a keycap is its digit."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    return WORD.findall(APOSTROPHES.sub("", plain))
