"""Our own clients of PostgreSQL and Redis over TLS: they speak to whom our authority names, and to nobody else."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import psycopg
import pytest
import redis
from celery import Celery
from django.conf import settings as configured
from django.core.cache.backends.redis import RedisCache
from django.db import OperationalError, connection
from django.db.backends.postgresql.base import DatabaseWrapper
from flower.utils.broker import Broker
from kombu.exceptions import OperationalError as BrokerError

from backend.config import production
from backend.config.links import redis_tls
from tests.support.stage import database_url
from tests.support.tls_front import TlsFront
from workers.cli import certificates
from workers.cli.certificates import Pair
from workers.mllp.database import address

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of two authorities, with `ca.pem` and its key in each."""
    found = {}
    for name in ("ours", "foreign"):
        found[name] = tmp_path_factory.mktemp(name)
        for file, text in zip(("ca.pem", "ca.key"), certificates.authority(name), strict=True):
            (found[name] / file).write_text(text)
    return found


def pair(folder: Path) -> Pair:
    return (folder / "ca.pem").read_text(), (folder / "ca.key").read_text()


@contextmanager
def front(url: str, authorities: dict[str, Path], folder: Path, *, name: str = HERE, days: int = 1) -> Iterator[int]:
    """Yield the port of a server by TLS whose certificate is of our authority."""
    at = urlsplit(url)
    issued = certificates.issued(pair(authorities["ours"]), [name], days=days)
    with TlsFront((at.hostname, at.port), folder, issued, asks_first=at.scheme == "postgresql") as found:
        yield found.port


def select_1(url: str) -> bool:
    """Ask through Django as `settings` sets it up; return whether it went by TLS."""
    wrapper = DatabaseWrapper({**connection.settings_dict, "OPTIONS": {}, **dj_database_url.parse(url)}, "default")
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert production.is_database_private({"HOST": HERE, **wrapper.settings_dict})
            return bool(wrapper.connection.pgconn.ssl_in_use)
    finally:
        wrapper.close()


@pytest.mark.django_db
def test_the_database_is_spoken_to_only_where_our_authority_names_it(
    authorities: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front(database_url(), authorities, tmp_path) as port:
        at = urlsplit(database_url())
        base = f"postgresql://{at.username}:{at.password}@{{host}}:{port}{at.path}?connect_timeout=10"
        ours = f"{base}&sslmode=verify-full&sslrootcert={authorities['ours'] / 'ca.pem'}"
        assert select_1(ours.format(host=HERE))
        with monkeypatch.context() as patch:
            for name, value in dj_database_url.parse(ours.format(host=HERE)).items():
                patch.setitem(configured.DATABASES["default"], name, value)
            assert asyncio.run(by_listener()), "the laboratories' door goes the same way"
        foreign = f"{base}&sslmode=verify-full&sslrootcert={authorities['foreign'] / 'ca.pem'}"
        for url, told in (
            (foreign.format(host=HERE), "certificate verify failed"),
            (ours.format(host="localhost"), "does not match host name"),
            (f"{base}&sslmode=disable".format(host=HERE), "no encryption"),
        ):
            with pytest.raises(OperationalError, match=told):
                select_1(url)
    (tmp_path / "old").mkdir()
    with front(database_url(), authorities, tmp_path / "old", days=-1) as port:
        expired = f"postgresql://{at.username}:{at.password}@{HERE}:{port}{at.path}?sslmode=verify-full"
        with pytest.raises(OperationalError, match="certificate verify failed"):
            select_1(f"{expired}&sslrootcert={authorities['ours'] / 'ca.pem'}")


async def by_listener() -> bool:
    async with await psycopg.AsyncConnection.connect(**address()) as found:
        return bool(found.pgconn.ssl_in_use)


def by_health(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return bool(client.ping())


def by_cache(url: str) -> bool:
    cache = RedisCache(url, {"KEY_PREFIX": "tls", "OPTIONS": {"socket_timeout": 5}})
    cache.set("one", 1, 5)
    return bool(cache.get("one") == 1)


def by_celery(url: str) -> bool:
    with Celery(broker=url, set_as_current=False) as app:
        app.conf.broker_use_ssl = redis_tls(url)
        with app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0)
            return bool(broker.default_channel.client.ping())


def by_flower(url: str) -> bool:
    async def ping() -> bool:
        return bool(await Broker(url, broker_options={}, broker_use_ssl=redis_tls(url)).redis.ping())

    return asyncio.run(ping())


@pytest.mark.parametrize("ask", [by_health, by_cache, by_celery, by_flower])
def test_redis_is_spoken_to_only_where_our_authority_names_it(
    ask: Callable[[str], bool], authorities: dict[str, Path], tmp_path: Path
) -> None:
    refused = (redis.RedisError, BrokerError, OSError)
    with front(configured.REDIS_URL, authorities, tmp_path) as port:
        password = urlsplit(configured.REDIS_URL).password
        base = f"rediss://:{password}@{{host}}:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={{ca}}"
        ours, foreign = (str(folder / "ca.pem") for folder in authorities.values())
        assert production.is_broker_private(base.format(host=HERE, ca=ours))
        assert ask(base.format(host=HERE, ca=ours))
        plain = f"redis://:{password}@{HERE}:{port}/0"
        by_system = f"rediss://:{password}@{HERE}:{port}/0"
        wrong = (base.format(host=HERE, ca=foreign), base.format(host="localhost", ca=ours), plain, by_system)
        for url in wrong:
            with pytest.raises(refused):
                ask(url)
