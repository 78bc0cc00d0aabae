"""The shipped words in Spanish; without them most patients who do not read English would be reminded in vain.

Texts use only letters a text message holds 160 of: á, í, ó and ú would cut it to 70.
"""

from __future__ import annotations

from backend.apps.messaging.models import MessageKind as Kind
from backend.apps.messaging.phrases import Phrases

PHRASES = Phrases(
    day=r"D j \d\e F",
    moment="{day}, {time}",
    last=" y ",
    more=" y {count} más, llámenos",
    clinic_time="hora de la clínica",
    unsubscribe="No recibir más correos nuestros:",
    calendar="Cita",
    buttons={
        Kind.REMINDER: "Confirmar o cambiar",
        Kind.ASK_TO_CONFIRM: "Confirmar o cambiar",
        Kind.SOON: "Confirmar o cambiar",
        Kind.WAITLIST_OFFER: "Tomar esta hora",
        Kind.CHOOSE: "Elegir",
    },
)

SMS = {
    Kind.REMINDER: "{clinic}: su cita es {when}.[ Preguntas: {phone}.] Para no recibir mensajes responda STOP.",
    Kind.ASK_TO_CONFIRM: (
        "{clinic}: su cita es {when}. Responda 1 para confirmar, 2 para cambiar.[ Tel. {phone}.]"
        " Responda STOP para baja."
    ),
    Kind.SOON: "{clinic}: le esperamos, {when}.[ Si llega tarde, llame: {phone}.] Responda STOP para darse de baja.",
    Kind.DIGEST: "{clinic}: sus citas: {visits}.[ Tel. {phone}.] Responda STOP para baja.",
    Kind.NO_SHOW: (
        "{clinic}: le echamos de menos el {date}.[ Para otra hora llame al {phone}.]"
        "[ Para otra hora escriba a {email}.] Responda STOP para darse de baja."
    ),
    Kind.RECALL: (
        "{clinic}: es hora de pedir su cita.[ Llame al {phone}.][ Escriba a {email}.]"
        " Para no recibir mensajes responda STOP."
    ),
    Kind.WAITLIST_OFFER: "{clinic}: hora libre {when}. Acepte antes de {expires}: {link} STOP para baja.",
    Kind.CHOOSE: "{clinic}: queremos entenderle bien. Por favor, elija: {link} Responda STOP para darse de baja.",
}

CALL = "[\n\n¿Preguntas? Llámenos al {phone}.]"

EMAIL = {
    Kind.REMINDER: (
        "Su cita",
        "Hola:\n\nLe recordamos su cita: {when}.[\n\nPara confirmarla o pedir otra hora:\n{link}]" + CALL,
    ),
    Kind.ASK_TO_CONFIRM: (
        "Por favor, confirme su cita",
        "Hola:\n\nSu cita es: {when}. Por favor, díganos si puede venir:\n{link}" + CALL,
    ),
    Kind.SOON: (
        "Su cita",
        "Hola:\n\nLe esperamos pronto. Su cita es: {when}."
        "[\n\nSi no puede venir, díganoslo:\n{link}][\n\n¿Llega tarde? Llámenos al {phone}.]",
    ),
    Kind.DIGEST: (
        "Sus citas",
        "Hola:\n\nLe recordamos estas citas:\n\n{visits}" + CALL,
    ),
    Kind.NO_SHOW: (
        "Su cita",
        "Hola:\n\nLe echamos de menos el {date}. Con gusto le buscamos otra hora."
        "[\n\nPara pedirla, llámenos al {phone}.][\n\nPara pedirla, escríbanos a {email}.]",
    ),
    Kind.RECALL: (
        "Su próxima cita",
        "Hola:\n\nEs hora de pedir su próxima cita."
        "[\n\nPara pedirla, llámenos al {phone}.][\n\nPara pedirla, escríbanos a {email}.]",
    ),
    Kind.WAITLIST_OFFER: (
        "Hay una hora libre",
        "Hola:\n\nNos pidió que le avisáramos cuando hubiera una hora libre: {when}."
        "\n\nLa guardamos para usted hasta: {expires}. Para tomarla o dejarla:\n{link}" + CALL,
    ),
    Kind.CHOOSE: (
        "Su cita",
        "Hola:\n\nGracias por su respuesta. Queremos entenderla bien; por favor, elija aquí:\n{link}" + CALL,
    ),
    Kind.CANCELLED: (
        "Su cita fue cancelada",
        "Hola:\n\nSu cita fue cancelada: {when}."
        "[\n\nPara pedir otra, llámenos al {phone}.][\n\nPara pedir otra, escríbanos a {email}.]",
    ),
}
