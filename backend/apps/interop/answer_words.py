"""What the pages behind a patient's link say, in each language; without it only readers of English could answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.formats import date_format

from backend.apps.messaging import dates


@dataclass(frozen=True, slots=True)
class Words:
    """One language. day: a format of Django's date filter."""

    language: str
    day: str
    at: str
    visit: str
    visit_intro: str
    your_clock: str
    is_confirmed: str
    is_wished: str
    confirm: str
    calendar: str
    calendar_out: str
    other_time: str
    other_time_note: str
    other_time_hint: str
    other_time_send: str
    cannot_come: str
    birth: str
    birth_hint: str
    cancel: str
    birth_wrong: str
    birth_missing: str
    too_many_births: str
    changed: str
    refused: str
    call: str
    call_plain: str
    gone: str
    gone_why: str
    cancelled: str
    cancelled_why: str
    moved: str
    moved_why: str
    over: str
    over_why: str
    slow: str
    slow_why: str
    away: str
    away_why: str
    mail: str
    mail_intro: str
    mail_stop: str
    mail_stopped: str
    mail_stopped_why: str
    mail_start: str
    mail_started: str
    mail_not_started: str
    choice: str
    choice_intro: str
    choice_over: str
    choice_over_why: str
    offer: str
    offer_intro: str
    offer_until: str
    offer_take: str
    offer_leave: str
    offer_taken: str
    offer_taken_why: str
    offer_left: str
    offer_left_why: str
    offer_over: str
    offer_over_why: str
    offer_not_bookable: str
    unclear: str


EN = Words(
    language="en",
    day="l, F j, Y",
    at="at",
    visit="Your appointment",
    visit_intro="You have an appointment with us.",
    your_clock="By your clock:",
    is_confirmed="You have confirmed that you are coming. Thank you.",
    is_wished="You asked for another time. We will get in touch with you; until then this appointment stands.",
    confirm="Yes, I am coming",
    calendar="Add it to my calendar",
    calendar_out="Take it out of my calendar",
    other_time="Ask for another time",
    other_time_note="When would suit you?",
    other_time_hint="Up to 300 characters. Please write nothing about your health here.",
    other_time_send="Send",
    cannot_come="I cannot come",
    birth="Your date of birth",
    birth_hint="We ask so that nobody else cancels your appointment.",
    cancel="Cancel the appointment",
    birth_wrong="This is not the date of birth we have. Please try again.",
    birth_missing="Please write your date of birth.",
    too_many_births="There were too many tries, so it cannot be cancelled here. Please call us.",
    changed="Your appointment has just changed. Please look at it again.",
    refused="This could not be done here. Please call us.",
    call="Call us:",
    call_plain="Please call us.",
    gone="This link does not work",
    gone_why="It may be too old, or a part of it was lost.",
    cancelled="This appointment is cancelled",
    cancelled_why="If you would like another one, please call us.",
    moved="This appointment was moved",
    moved_why="Please look for a newer message from us, or call us.",
    over="This appointment has begun or is over",
    over_why="If you have a question, please call us.",
    slow="Please wait a moment",
    slow_why="This page was opened very often. Try again in a few minutes, or call us.",
    away="This page does not work at the moment",
    away_why="Nothing was changed. Try again in a few minutes, or call us.",
    mail="Our e-mails to you",
    mail_intro="We send reminders of appointments to this mailbox.",
    mail_stop="Send me no more e-mails",
    mail_stopped="You will get no more e-mails from us",
    mail_stopped_why="If you did not want this, take it back here.",
    mail_start="Send me e-mails again",
    mail_started="You will get our e-mails again.",
    mail_not_started="We could not do this here. Please call us.",
    choice="Which appointment?",
    choice_intro="Your answer may be about any of these. Tell us to which you are coming; to change one, call us.",
    choice_over="There is nothing left to choose",
    choice_over_why="These appointments were moved, cancelled or are over. If you have a question, please call us.",
    offer="An earlier time is free",
    offer_intro="We can offer you this time:",
    offer_until="We keep it for you until",
    offer_take="Yes, I take it",
    offer_leave="No, thank you",
    offer_taken="This time is yours",
    offer_taken_why="We are looking forward to seeing you.",
    offer_left="You have left this time to others",
    offer_left_why="You stay on our list.",
    offer_over="This offer is over",
    offer_over_why="The time is no longer free. You stay on our list.",
    offer_not_bookable="This doctor cannot take new appointments at the moment; please call the clinic.",
    unclear="Please choose one of the buttons below.",
)
ES = Words(
    language="es",
    day=r"l j \d\e F \d\e Y",
    at="a las",
    visit="Su cita",
    visit_intro="Usted tiene una cita con nosotros.",
    your_clock="En su hora local:",
    is_confirmed="Usted ha confirmado que vendrá. Gracias.",
    is_wished="Usted pidió otra hora. Nos comunicaremos con usted; hasta entonces esta cita sigue en pie.",
    confirm="Sí, voy a venir",
    calendar="Agregar a mi calendario",
    calendar_out="Quitarla de mi calendario",
    other_time="Pedir otra hora",
    other_time_note="¿Cuándo le convendría?",
    other_time_hint="Hasta 300 caracteres. Por favor no escriba aquí nada sobre su salud.",
    other_time_send="Enviar",
    cannot_come="No puedo venir",
    birth="Su fecha de nacimiento",
    birth_hint="La pedimos para que nadie más cancele su cita.",
    cancel="Cancelar la cita",
    birth_wrong="Esta no es la fecha de nacimiento que tenemos. Por favor intente otra vez.",
    birth_missing="Por favor escriba su fecha de nacimiento.",
    too_many_births="Hubo demasiados intentos, por eso no se puede cancelar aquí. Por favor llámenos.",
    changed="Su cita acaba de cambiar. Por favor mírela de nuevo.",
    refused="Esto no se pudo hacer aquí. Por favor llámenos.",
    call="Llámenos:",
    call_plain="Por favor llámenos.",
    gone="Este enlace no funciona",
    gone_why="Puede ser demasiado antiguo, o se perdió una parte.",
    cancelled="Esta cita está cancelada",
    cancelled_why="Si desea otra, por favor llámenos.",
    moved="Esta cita se cambió",
    moved_why="Busque un mensaje nuestro más reciente, o llámenos.",
    over="Esta cita ya empezó o terminó",
    over_why="Si tiene una pregunta, por favor llámenos.",
    slow="Por favor espere un momento",
    slow_why="Esta página se abrió muchas veces. Intente otra vez en unos minutos, o llámenos.",
    away="Esta página no funciona en este momento",
    away_why="No se cambió nada. Intente otra vez en unos minutos, o llámenos.",
    mail="Nuestros correos para usted",
    mail_intro="Enviamos recordatorios de citas a este buzón.",
    mail_stop="No me envíen más correos",
    mail_stopped="Ya no recibirá correos de nosotros",
    mail_stopped_why="Si no quería esto, deshágalo aquí.",
    mail_start="Envíenme correos otra vez",
    mail_started="Usted recibirá nuestros correos otra vez.",
    mail_not_started="No pudimos hacer esto aquí. Por favor llámenos.",
    choice="¿Cuál de las citas?",
    choice_intro="Su respuesta puede ser sobre cualquiera de ellas. Díganos a cuál vendrá; para cambiar una, llámenos.",
    choice_over="No queda nada que elegir",
    choice_over_why="Estas citas se cambiaron, se cancelaron o ya pasaron. Si tiene una pregunta, por favor llámenos.",
    offer="Hay una hora libre más temprano",
    offer_intro="Podemos ofrecerle esta hora:",
    offer_until="La guardamos para usted hasta",
    offer_take="Sí, la tomo",
    offer_leave="No, gracias",
    offer_taken="Esta hora es suya",
    offer_taken_why="Le esperamos con gusto.",
    offer_left="Usted dejó esta hora a otros",
    offer_left_why="Usted sigue en nuestra lista.",
    offer_over="Esta oferta terminó",
    offer_over_why="La hora ya no está libre. Usted sigue en nuestra lista.",
    offer_not_bookable="Este médico no puede recibir citas nuevas por el momento; por favor llame a la clínica.",
    unclear="Por favor elija uno de los botones de abajo.",
)


def words_for(*languages: str) -> Words:
    """Return the words of the first of these languages ("es-MX") we speak, else the English ones."""
    known = {"en": EN, "es": ES}
    return next((known[main] for each in languages if (main := each.lower().split("-")[0]) in known), EN)


def moment(at: datetime, zone: ZoneInfo, words: Words) -> str:
    """Return "Tuesday, March 3, 2026 at 10:30 AM EST"."""
    with translation.override(words.language):
        day = date_format(at.astimezone(zone), words.day)
    return f"{day} {words.at} {dates.time(at, zone, words.language)}"
