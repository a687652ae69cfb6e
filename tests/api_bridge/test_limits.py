"""Concurrency, tokens and pauses, in one process and over all of them."""

import os
import threading

import pytest
import redis

from api_bridge.errors import RateLimited
from api_bridge.limits import LocalLimits, Quota, RedisLimits
from api_bridge.runtime import open_broker


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def local(clock, **quota):
    return LocalLimits(Quota(**quota), wait_s=5, clock=clock, sleep=clock.sleep)


@pytest.fixture
def broker(services):
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    yield client
    client.close()


def test_a_fifth_call_waits_and_then_gives_up_while_four_are_under_way(clock):
    limits = local(clock, concurrent=4)
    slots = [limits.slot("app.box") for _ in range(4)]
    for slot in slots:
        slot.__enter__()
    with pytest.raises(RateLimited), limits.slot("app.box"):
        pass
    slots[0].__exit__(None, None, None)
    with limits.slot("app.box"):
        assert clock.now > 1000


def test_another_mailbox_is_not_held_up(clock):
    limits = local(clock, concurrent=1)
    with limits.slot("app.a"), limits.slot("app.b"):
        assert clock.slept == []


def test_tokens_run_out_and_flow_back(clock):
    limits = local(clock, concurrent=50, per_s=2.0, burst=4.0)
    with limits.slot("x", cost=4):
        pass
    with limits.slot("x", cost=2):
        assert clock.now == pytest.approx(1001.0)


def test_what_is_missing_of_a_token_may_be_less_than_the_clock_can_tell(clock):
    limits = local(clock, concurrent=1, per_s=100.0, burst=10.0)
    with limits.slot("x", cost=9):
        pass
    # What adding up fractions of seconds leaves.
    limits._counts["x"].tokens = 1.0 - 2**-53
    assert clock.now + limits.try_take("x", "other", 1) == clock.now
    with limits.slot("x"):
        assert len(clock.slept) == 1


def test_a_pause_that_is_longer_than_the_wait_says_when_to_come_back(clock):
    limits = local(clock)
    limits.pause("x", 60)
    with pytest.raises(RateLimited) as caught, limits.slot("x"):
        pass
    assert caught.value.retry_after_s == pytest.approx(60)


def test_a_short_pause_is_waited_out(clock):
    limits = local(clock)
    limits.pause("x", 3)
    with limits.slot("x"):
        assert clock.now == pytest.approx(1003)


def test_the_slot_is_free_again_after_an_error(clock):
    limits = local(clock, concurrent=1)
    with pytest.raises(ValueError, match="inside"), limits.slot("x"):
        raise ValueError("inside")
    with limits.slot("x"):
        assert clock.slept == []


def test_two_processes_share_slots_in_redis(broker):
    here = RedisLimits(broker, Quota(concurrent=1), wait_s=0.05)
    there = RedisLimits(broker, Quota(concurrent=1), wait_s=0.05)
    with here.slot("app.box"), pytest.raises(RateLimited), there.slot("app.box"):
        pass
    with there.slot("app.box"):
        pass


def test_two_processes_share_tokens_in_redis(broker):
    quota = Quota(concurrent=9, per_s=0.5, burst=3)
    with RedisLimits(broker, quota, wait_s=0).slot("x", cost=3):
        pass
    with pytest.raises(RateLimited) as caught, RedisLimits(broker, quota, wait_s=0).slot("x"):
        pass
    assert 1.0 < caught.value.retry_after_s <= 2.0


def test_a_pause_in_redis_holds_for_all_and_is_never_shortened(broker):
    here, there = RedisLimits(broker, wait_s=0), RedisLimits(broker, wait_s=0)
    here.pause("x", 30)
    here.pause("x", 1)
    with pytest.raises(RateLimited) as caught, there.slot("x"):
        pass
    assert caught.value.retry_after_s > 25


def test_the_slot_of_a_dead_process_is_free_after_its_lease(broker):
    quota = Quota(concurrent=1, lease_s=0.05)
    RedisLimits(broker, quota, wait_s=0).slot("x").__enter__()
    with RedisLimits(broker, quota, wait_s=1).slot("x"):
        pass


def test_never_more_than_the_quota_at_once_over_many_threads(broker):
    limits = RedisLimits(broker, Quota(concurrent=3, per_s=1000, burst=1000), wait_s=10)
    guard, inside, most = threading.Lock(), 0, 0

    def work():
        nonlocal inside, most
        for _ in range(5):
            with limits.slot("x"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most <= 3


def test_without_redis_each_process_goes_on_counting_for_itself(caplog):
    limits = RedisLimits(open_broker("redis://127.0.0.1:1/0"), Quota(concurrent=1), wait_s=0)
    with limits.slot("x"), pytest.raises(RateLimited), limits.slot("x"):
        pass
    with limits.slot("x"):
        assert "this process alone" in caplog.text
