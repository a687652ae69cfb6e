"""The cache that holds tokens: sealed, bound to its key, and never an obstacle."""

import os
import threading

import pytest
import redis

from api_bridge.cache import LocalCache, RedisCache
from api_bridge.runtime import open_broker

KEY = bytes(range(32))


@pytest.fixture
def broker(services):
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    yield client
    client.close()


def test_a_value_is_gone_after_its_time():
    now = [0.0]
    cache = LocalCache(clock=lambda: now[0])
    cache.set("k", "v", ttl_s=10)
    assert cache.get("k") == "v"
    now[0] = 10.0
    assert cache.get("k") is None


def test_only_one_thread_holds_a_lock():
    cache = LocalCache()
    with cache.lock("k", ttl_s=1, wait_s=0) as first:
        answers = []

        def other():
            with cache.lock("k", ttl_s=1, wait_s=0) as second:
                answers.append(second)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert (first, answers) == (True, [False])


def test_redis_holds_no_readable_value(broker):
    cache = RedisCache(broker, seal_key=KEY)
    cache.set("token.x", "very-secret-token", ttl_s=60)
    stored = broker.get("bridge.token.x")
    assert b"very-secret" not in stored
    assert cache.get("token.x") == "very-secret-token"


def test_a_value_moved_to_another_key_does_not_open(broker):
    cache = RedisCache(broker, seal_key=KEY)
    cache.set("token.a", "a's token", ttl_s=60)
    broker.set("bridge.token.b", broker.get("bridge.token.a"))
    assert cache.get("token.b") is None


def test_another_seal_key_reads_nothing(broker):
    RedisCache(broker, seal_key=KEY).set("k", "v", ttl_s=60)
    assert RedisCache(broker, seal_key=bytes(32)).get("k") is None


def test_a_redis_lock_is_held_once_and_given_back(broker):
    cache = RedisCache(broker, seal_key=KEY)
    with cache.lock("k", ttl_s=5, wait_s=0) as first, cache.lock("k", ttl_s=5, wait_s=0) as second:
        assert (first, second) == (True, False)
    with cache.lock("k", ttl_s=5, wait_s=0) as third:
        assert third


def test_a_lock_that_ran_out_is_not_taken_from_its_new_holder(broker):
    cache = RedisCache(broker, seal_key=KEY)
    with cache.lock("k", ttl_s=5, wait_s=0):
        broker.set("bridge.lock.k", b"another")
    assert broker.get("bridge.lock.k") == b"another"


def test_a_broker_that_is_down_is_an_empty_cache():
    cache = RedisCache(open_broker("redis://127.0.0.1:1/0"), seal_key=KEY)
    cache.set("k", "v", ttl_s=60)
    cache.drop("k")
    with cache.lock("k", ttl_s=1, wait_s=0) as is_mine:
        assert (is_mine, cache.get("k")) == (False, None)
