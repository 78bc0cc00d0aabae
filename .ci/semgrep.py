"""Lines that the rules beside this file find (`ruleid`) and lines they leave alone (`ok`); nothing runs this file."""

import datetime
import hashlib
import hmac
import http.client
import os
import pickle
import random
import secrets
import smtplib
import socket
import ssl
import subprocess
import urllib.request
import uuid

import jwt
import requests
import yaml
from django.db.models.expressions import RawSQL
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt


def logs(log, row, patient, run):
    # ruleid: value-in-log
    log.info("reminder for %s", patient.first_name)
    # ruleid: value-in-log
    log.warning("no answer to %s", row.patient.phone_number)
    # ruleid: value-in-log
    log.info(f"reminder {row.pk} is late")
    # ruleid: value-in-log
    log.info("reminder %s is late" % row.pk)
    # ruleid: value-in-log
    log.info("reminder " + str(row.pk))
    # ruleid: value-in-log
    log.info("reminder {} is late".format(row.pk))
    # ruleid: value-in-log
    self.log.error("not stored", exc_info=True)
    # ruleid: value-in-log
    logger.exception("not stored")
    # ok: value-in-log
    log.info("reminder %s ended as %s", row.pk, row.status)
    try:
        run()
    except ValueError as error:
        # ruleid: value-in-log
        log.error("not stored: %s", error)
        # ruleid: value-in-log
        log.error("not stored: %s", str(error))
        # ok: value-in-log
        log.error("not stored: %s", type(error).__name__)


def exceptions(patient, row, text):
    # ruleid: value-in-exception
    raise ValueError(f"no visit of {patient.last_name}")
    # ruleid: value-in-exception
    raise ValueError("no visit of %s" % patient.date_of_birth)
    # ruleid: value-in-exception
    raise ValueError("not a segment: {}".format(row.raw))
    # ok: value-in-exception
    raise ValueError(f"not a time stamp: {len(text)} characters")
    # ok: value-in-exception
    raise ValueError(f"This order is {row.status}.")


def statements(request, cursor, rows, ops, key, name):
    order = request.GET.get("order")
    # ruleid: sql-from-outside
    cursor.execute(f"SELECT id FROM patients_patient ORDER BY {order}")
    # ruleid: sql-from-outside
    RawSQL("SELECT id FROM visits WHERE day = " + request.POST["day"], [])
    # ok: sql-from-outside
    cursor.execute("SELECT id FROM patients_patient WHERE id = %s", [order])
    # ok: sql-from-outside
    cursor.execute(f"SELECT id FROM patients_patient LIMIT {int(order)}")
    # ruleid: sql-of-pieces
    cursor.execute("SELECT id FROM patients_patient WHERE id = '%s'" % key)
    # ruleid: sql-of-pieces
    cursor.execute("SELECT id FROM patients_patient WHERE id = " + key)
    # ruleid: sql-of-pieces
    cursor.execute("SELECT id FROM {}".format(name))
    # ruleid: sql-of-pieces
    cursor.execute(f"SELECT id FROM patients_patient WHERE id = '{key}'")
    # ruleid: sql-of-pieces
    rows.extra(where=["id = 1"])
    # ok: sql-of-pieces
    cursor.execute("SELECT id FROM patients_patient WHERE id = %s", [key])
    # ok: sql-of-pieces
    cursor.execute(f"SELECT id FROM {ops.quote_name(name)}")


class Open:
    class Meta:
        # ruleid: all-fields
        fields = "__all__"


class AllBut:
    # ruleid: all-fields
    class Meta:
        model = "patients.Patient"
        exclude = ["password"]


class WrittenOut:
    class Meta:
        # ok: all-fields
        fields = ["id", "status"]


def calls(url, address, limit):
    # ruleid: call-without-timeout
    requests.get(url)
    # ruleid: call-without-timeout
    requests.request("GET", url)
    # ruleid: call-without-timeout
    urllib.request.urlopen(url)
    # ruleid: call-without-timeout
    http.client.HTTPSConnection(url)
    # ruleid: call-without-timeout
    smtplib.SMTP(url)
    # ruleid: call-without-timeout
    socket.create_connection(address)
    # ok: call-without-timeout
    requests.get(url, timeout=10)
    # ok: call-without-timeout
    smtplib.SMTP(url, timeout=limit)
    # ok: call-without-timeout
    socket.create_connection(address, limit)


def tasks(deliver, row):
    # ruleid: task-for-later
    deliver.apply_async(args=[row.pk], eta=row.due_at)
    # ruleid: task-for-later
    deliver.retry(countdown=60)
    # ok: task-for-later
    deliver.apply_async()


def pages(request, pk):
    # ruleid: unscoped-rows
    rows = Patient.objects.filter(pk=pk)
    # ruleid: unscoped-rows
    row = LabResult.all_objects.get(pk=pk)
    # ok: unscoped-rows
    mine = Patient.objects.visible_to(request.user).filter(pk=pk)
    # ok: unscoped-rows
    tests = LabTest.objects.filter(is_active=True)
    return rows, row, mine, tests


class Resource:
    # ok: unscoped-rows
    queryset = Patient.objects.all()


def markup(text):
    # ruleid: text-as-markup
    shown = mark_safe(text)
    # ruleid: text-as-markup
    shown = format_html(f"<b>{text}</b>")
    # ruleid: text-as-markup
    shown = format_html("<b>%s</b>" % text)
    # ok: text-as-markup
    shown = format_html("<b>{}</b>", text)
    return shown


# ruleid: no-csrf-check
@csrf_exempt
def door(request):
    # ok: no-csrf-check
    return request


def loads(raw):
    # ruleid: unsafe-load
    pickle.loads(raw)
    # ruleid: unsafe-load
    yaml.load(raw)
    # ruleid: unsafe-load
    eval(raw)
    # ok: unsafe-load
    yaml.load(raw, Loader=yaml.SafeLoader)
    # ok: unsafe-load
    yaml.safe_load(raw)


def links(url, context):
    # ruleid: unchecked-tls
    requests.get(url, verify=False, timeout=5)
    # ruleid: unchecked-tls
    context.check_hostname = False
    # ruleid: unchecked-tls
    context.verify_mode = ssl.CERT_NONE
    # ruleid: unchecked-tls
    ssl._create_unverified_context()
    # ok: unchecked-tls
    requests.get(url, verify="/etc/ssl/partner.pem", timeout=5)
    # ok: unchecked-tls
    context.verify_mode = ssl.CERT_REQUIRED


def tokens(text, key):
    # ruleid: unchecked-token
    jwt.decode(text, key)
    # ruleid: unchecked-token
    jwt.decode(text, key, algorithms=["ES256"], options={"verify_signature": False})
    # ruleid: unchecked-token
    jwt.decode(text, key, algorithms=["none"])
    # ok: unchecked-token
    jwt.decode(text, key, algorithms=["ES256"], audience="carerelay")


# ruleid: secret-in-code
SECRET_KEY = "correct-horse-battery"
# ruleid: secret-in-code
SAMPLE = "AKIAABCDEFGHIJKLMNOP"
# ok: secret-in-code
SECRET_KEY = os.environ["CARERELAY_SECRET_KEY"]
# ok: secret-in-code
WRONG_PASSWORD = "That e-mail and password do not fit."


def sign_in(client):
    # ruleid: secret-in-code
    client.login(password="hunter2-hunter2")
    # ok: secret-in-code
    client.login(password=os.environ["PASSWORD"])


def programs(name):
    # ruleid: shell-words
    subprocess.run(f"tar xf {name}", shell=True)
    # ruleid: shell-words
    os.system("tar xf " + name)
    # ok: shell-words
    subprocess.run(["tar", "xf", name])


def draws(letters, keys):
    # ruleid: guessable-token
    "".join(random.choice(letters) for _ in range(20))
    # ruleid: guessable-token
    uuid.uuid1()
    # ok: guessable-token
    secrets.token_urlsafe(20)
    # ok: guessable-token
    random.shuffle(keys)


def comparisons(given, row, key, body, kind):
    # ruleid: secret-compared
    if given == row.token:
        return True
    # ruleid: secret-compared
    if hmac.new(key, body, hashlib.sha256).hexdigest() == given:
        return True
    # ruleid: secret-compared
    if request_signature != given:
        return False
    # ok: secret-compared
    if kind == "token":
        return False
    # ok: secret-compared
    return hmac.compare_digest(row.token, given)


def moments(seconds, zone):
    # ruleid: naive-moment
    datetime.datetime.now()
    # ruleid: naive-moment
    datetime.datetime.utcnow()
    # ruleid: naive-moment
    datetime.datetime.fromtimestamp(seconds)
    # ruleid: naive-moment
    datetime.date.today()
    # ok: naive-moment
    datetime.datetime.now(datetime.UTC)
    # ok: naive-moment
    datetime.datetime.fromtimestamp(seconds, zone)
