"""Webhooks of events: recorded before they leave, in order for each subject, again after failures, dead in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import orjson
import pytest

from exchange import forgetting
from exchange.grants import tables as grant_tables
from exchange.grants.grant import Hours, Mode
from exchange.subscriptions import subscribing
from exchange.subscriptions.delivering import LEASE, MOST_EVENTS, deliver, deliver_due
from exchange.subscriptions.feed_tables import dead
from exchange.subscriptions.following import append_change
from exchange.subscriptions.subscription import Subscription, SubscriptionEnded
from foundation.civil import CHINA
from foundation.webhooks.addresses import Reach, WebhookRefused
from foundation.webhooks.sending import WAITS, Delivered, Sender, sender
from tests.conftest import free_port
from tests.exchange.subscriptions.conftest import CALLER, OTHER, PEOPLE, PERSON, City, Story
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier

Told = Callable[[Story], None]


async def subscribed(city: City, url: str, count: int = 2, **granted: object) -> Subscription:
    """Let a client be told of some people by webhook; `r0` is PERSON, `r1` OTHER."""
    city.people(*PEOPLE[:count])
    await city.give(**granted)
    named = {f"r{n}": each for n, each in enumerate(PEOPLE[:count])}
    return await city.subscribe("person-changed", url=url, **named)


async def renamed(city: City, name: str, *people: str) -> None:
    city.people(*(people or (PERSON,)), name=name)
    assert await city.tell() == len(people or (PERSON,))


def test_events_arrive_signed_recorded_and_once(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三", PERSON, OTHER)
        assert await city.deliver() == Delivered(2, 0, 0)
        city.ahead = timedelta(days=9)
        assert await city.deliver() == Delivered()
        (got,) = receiver.got
        check = verifier(city.exchange.keys.jwks())
        check.verify(got, max_age=timedelta(minutes=5), body=got.content)
        assert got.headers["zhengtong-subscription"] == str(made.id)
        body = orjson.loads(got.content)
        assert body["subscription"] == str(made.id)
        first, second = body["events"]
        assert {first["reference"], second["reference"]} == {"r0", "r1"}
        assert (first["kind"], first["fields"]) == ("person-changed", ["name"])
        assert (first["sequence"], second["sequence"]) == (1, 2)
        assert all(text not in got.content.decode() for text in (PERSON, OTHER, "张"))
        records = city.records("notified")
        assert [record["event_id"] for record in records] == [first["id"], second["id"]]
        assert {record["subject"] for record in records} == {
            city.subject().hex(),
            city.subject(OTHER).hex(),
        }
        assert (records[0]["matter"], records[0]["purpose"]) == ("withdrawal", "公积金管理")

    told(story)


def test_the_record_stands_before_anything_leaves(told: Told) -> None:
    async def story(city: City) -> None:
        await subscribed(city, f"http://127.0.0.1:{free_port()}/")
        await renamed(city, "张三")
        assert await city.deliver() == Delivered(0, 1, 0)
        assert len(city.records("notified")) == 1
        city.ahead = WAITS[0] + timedelta(seconds=9)
        assert await city.deliver() == Delivered(0, 1, 0)
        assert len(city.records("notified")) == 1, "the same event leaves by the same record"

    told(story)


@pytest.mark.parametrize("answer", [500, None])
def test_a_failure_holds_up_its_subject_only_and_at_last_lies_dead(
    told: Told, receiver: Receiver, answer: int | None
) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三")
        start = city.ahead
        for turn, wait in enumerate((*WAITS, None)):
            if answer is None:
                receiver.slow = 0.3
                async with _impatient(city) as opened:
                    failed = await deliver_due(city.exchange, opened, city.now)
                receiver.slow = 0
            else:
                receiver.answers[:] = [answer]
                failed = await city.deliver()
            assert failed == Delivered(0, 1, int(wait is None))
            if turn == 0:
                # Later events: of the same subject one waits behind it, of the other it goes.
                await renamed(city, "张", PERSON, OTHER)
                city.ahead += timedelta(seconds=10)
                assert await city.deliver() == Delivered(1, 0, 0)
                assert [e["reference"] for e in receiver.events()] == ["r0", "r1"]
                city.ahead = start
            if wait is not None:
                city.ahead += wait + timedelta(seconds=2)
                start = city.ahead
        city.ahead += timedelta(days=3)
        assert await city.deliver() == Delivered(), "the later one waits behind the dead one"
        async with city.exchange.pool.acquire() as connection:
            (lying,) = await dead(connection, made.id, 9)
        assert (lying.sequence, lying.attempts) == (1, len(WAITS) + 1)
        assert lying.last_failure == ("TimeoutError" if answer is None else f"HTTP {answer}")
        if answer == 500:
            assert await subscribing.retry(city.exchange, CALLER, made.id, None, city.now()) == 1
            expected = 2
        else:
            assert await subscribing.dismiss(city.exchange, CALLER, made.id, [1], city.now()) == 1
            expected = 1
        before = len(receiver.events())
        assert await city.deliver() == Delivered(expected, 0, 0)
        after = receiver.events()[before:]
        assert [event["reference"] for event in after] == ["r0"] * expected
        assert after == sorted(after, key=lambda event: event["sequence"])

    told(story)


def _impatient(city: City) -> _Closing:
    return _Closing(Sender(Reach(loopback=True), seconds=0.1))


class _Closing:
    """Closes a sender at the end of a block."""

    def __init__(self, opened: Sender) -> None:
        self.opened = opened

    async def __aenter__(self) -> Sender:
        return self.opened

    async def __aexit__(self, *_error: object) -> None:
        await self.opened.close()


def test_an_event_that_the_receiver_cannot_take_does_not_hold_up_the_others(
    told: Told, receiver: Receiver
) -> None:
    """They fail with it once, and are sent one by one then."""

    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url, len(PEOPLE))
        await renamed(city, "张三", *PEOPLE)

        class Picky(Sender):
            async def send(self, url: str, body: bytes, *others: object) -> str | None:  # type: ignore[override]
                if any(event["reference"] == "r2" for event in orjson.loads(body)["events"]):
                    return "HTTP 500"
                return await super().send(url, body, *others)  # type: ignore[arg-type]

        async with _Closing(Picky(Reach(loopback=True))) as opened:
            await deliver_due(city.exchange, opened, city.now)
            city.ahead = WAITS[0] + timedelta(seconds=1)
            for _turn in range(3):
                await deliver_due(city.exchange, opened, city.now)
                city.ahead += timedelta(seconds=10)
        assert {event["reference"] for event in receiver.events()} == {f"r{n}" for n in (0, 1, 3, 4, 5, 6)}
        ((undelivered,),) = city.sql(
            "SELECT array_agg(reference) FROM exchange.feed_event WHERE subscription = %s AND delivered_at IS NULL",
            made.id,
        )
        assert undelivered == ["r2"]

    told(story)


def test_large_batches_are_sent_whole(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        await subscribed(city, receiver.url, len(PEOPLE))
        facts = {"topic": "persons", "fields": ["name"]}
        async with city.exchange.pool.acquire() as connection:
            for _turn in range(20):
                for citizen_id in PEOPLE:
                    subject = city.subject(citizen_id)
                    await append_change(connection, "person-changed", subject, facts, city.now())
        assert await city.tell() == 20 * len(PEOPLE)
        assert await city.deliver() == Delivered(20 * len(PEOPLE), 0, 0)
        assert [len(orjson.loads(got.content)["events"]) for got in receiver.got] == [
            MOST_EVENTS,
            20 * len(PEOPLE) - MOST_EVENTS,
        ]
        assert [event["sequence"] for event in receiver.events()] == list(range(1, 20 * len(PEOPLE) + 1))

    told(story)


def test_when_the_grant_ends_nothing_leaves_any_more(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三")
        await grant_tables.end(city.exchange.engine, city.grant, datetime.now(UTC))
        # Before any round looked for it: delivering sees it by itself.
        assert await city.deliver() == Delivered()
        assert receiver.got == []
        ((state, reason),) = city.sql(
            "SELECT state, reason FROM exchange.subscription WHERE id = %s", made.id
        )
        assert (state, reason) == ("stopped", "not-granted")
        assert city.sql("SELECT count(*) FROM exchange.subscription_subject") == [(0,)]
        assert city.records("subscription-stopped")[0]["subscription"] == str(made.id)
        with pytest.raises(SubscriptionEnded):
            await city.read(made)

    told(story)


@pytest.mark.parametrize(
    "change",
    [
        {"ended_at": datetime.now(UTC)},
        {"modes": ["verify"]},
        {"matters": ["another"]},
        {"valid_until": datetime.now(UTC)},
    ],
)
def test_a_round_stops_what_is_no_longer_granted(told: Told, change: dict[str, object]) -> None:
    async def story(city: City) -> None:
        await subscribed(city, f"http://127.0.0.1:{free_port()}/")
        ((name, value),) = change.items()
        city.sql(f"UPDATE exchange.share_grant SET {name} = %s", value)
        city.people(name="张三")
        assert await city.tell() == 0
        assert city.sql("SELECT state, reason FROM exchange.subscription") == [("stopped", "grant-ended")]

    told(story)


def test_outside_the_hours_of_the_grant_events_wait(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        def at(hours: int) -> time:
            return (datetime.now(CHINA) + timedelta(hours=hours)).time().replace(second=0, microsecond=0)

        made = await subscribed(city, receiver.url)
        city.sql("UPDATE exchange.share_grant SET hours_from = %s, hours_to = %s", at(1), at(2))
        await renamed(city, "张三")
        assert await city.deliver() == Delivered()
        city.ahead = timedelta(minutes=90)
        assert await city.deliver() == Delivered(1, 0, 0)
        assert city.sql("SELECT state FROM exchange.subscription WHERE id = %s", made.id) == [("active",)]
        assert Hours(at(1), at(2)).holds((datetime.now(CHINA) + city.ahead).time())

    told(story)


def test_quotas_count_whom_events_are_about(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        await subscribed(city, receiver.url, 3, quota_per_day=2)
        await renamed(city, "张三", *PEOPLE[:3])
        assert await city.deliver() == Delivered(2, 0, 0)
        city.ahead = timedelta(days=1)
        assert await city.deliver() == Delivered(1, 0, 0)

    told(story)


def test_what_the_grant_no_longer_holds_is_no_longer_named(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三")
        city.sql("UPDATE exchange.share_grant SET fields = '{address}'")
        assert await city.deliver() == Delivered(1, 0, 0)
        assert receiver.events()[0]["fields"] == []
        assert (await city.read(made)).events[0]["fields"] == []

    told(story)


def test_replay_sends_the_same_events_again_in_order(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        for name in ("一", "二", "三"):
            await renamed(city, f"张{name}")
        assert await city.deliver() == Delivered(3, 0, 0)
        assert await subscribing.replay(city.exchange, CALLER, made.id, 2, city.now()) == 2
        assert await city.deliver() == Delivered(2, 0, 0)
        events = receiver.events()
        assert [event["sequence"] for event in events] == [1, 2, 3, 2, 3]
        assert events[1]["id"] == events[3]["id"]
        assert len(city.records("notified")) == 5, "what leaves again is recorded again"

    told(story)


def test_what_is_replayed_while_it_is_sent_is_sent_again(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三")
        receiver.slow = 0.5
        sending = asyncio.create_task(city.deliver())
        assert await asyncio.to_thread(receiver.arrived.wait, 5)
        assert await subscribing.replay(city.exchange, CALLER, made.id, 1, city.now()) == 1
        assert await sending == Delivered(2, 0, 0)
        assert [event["sequence"] for event in receiver.events()] == [1, 1]

    told(story)


def test_several_processes_deliver_each_event_once_and_in_order(told: Told) -> None:
    async def story(city: City) -> None:
        with receiving() as one, receiving() as two:
            await subscribed(city, one.url, 3)
            await city.subscribe(
                "person-changed", url=two.url, **{f"r{n}": each for n, each in enumerate(PEOPLE[:3])}
            )
            for turn in range(5):
                city.people(*PEOPLE[:3], name=f"张{turn}")
            assert await city.tell() == 30
            await asyncio.gather(*(city.deliver() for _process in range(4)))
            for receiver in (one, two):
                assert [event["sequence"] for event in receiver.events()] == list(range(1, 16))

    told(story)


def test_who_dies_while_sending_loses_nothing(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        await subscribed(city, receiver.url)
        await renamed(city, "张三")
        (claimed,) = await _claimed(city)

        class Dying(Sender):
            async def send(self, *_given: object) -> str | None:  # type: ignore[override]
                # What was recorded is so, and the process is gone: it cannot even let go.
                city.sql("UPDATE exchange.subscription SET leased_until = %s", city.now() + LEASE)
                raise asyncio.CancelledError

        async with _Closing(Dying(Reach(loopback=True))) as opened:
            with pytest.raises(asyncio.CancelledError):
                await deliver(city.exchange, opened, claimed, city.now)
        city.sql("UPDATE exchange.subscription SET leased_until = %s", city.now() + LEASE)
        assert await city.deliver() == Delivered(), "it belongs to another, as far as anybody knows"
        city.ahead = LEASE + timedelta(seconds=1)
        assert await city.deliver() == Delivered(1, 0, 0)
        assert len(city.records("notified")) == 1

    told(story)


async def _claimed(city: City) -> list[Subscription]:
    from exchange.subscriptions.delivering import claim

    return await claim(city.exchange, city.now(), 9)


def test_an_address_that_turned_private_is_a_failure(told: Told, receiver: Receiver) -> None:
    """The operator no longer names the network, or the name leads elsewhere now: nothing is sent there."""

    async def story(city: City) -> None:
        await subscribed(city, receiver.url)
        await renamed(city, "张三")
        async with _Closing(Sender(Reach())) as opened:
            assert await deliver_due(city.exchange, opened, city.now) == Delivered(0, 1, 0)
        assert city.sql("SELECT last_failure FROM exchange.feed_event") == [("AddressRefused",)]
        assert receiver.got == []

    told(story)


@pytest.mark.parametrize(
    "url", ["https://10.1.2.3/", "https://169.254.169.254/latest", "http://example.org/", "https://[::1]/"]
)
def test_no_subscription_to_a_private_address(told: Told, url: str) -> None:
    async def story(city: City) -> None:
        await city.give()
        with pytest.raises(WebhookRefused):
            await city.subscribe("person-changed", url=url)
        assert city.records("subscribe")[0]["reason"] == "webhook-refused"
        assert city.sql("SELECT count(*) FROM exchange.subscription") == [(0,)]

    told(story)


def test_moving_to_another_address(told: Told) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, f"http://127.0.0.1:{free_port()}/")
        await renamed(city, "张三")
        assert await city.deliver() == Delivered(0, 1, 0)
        with receiving() as receiver:
            await subscribing.send_elsewhere(city.exchange, CALLER, made.id, receiver.url, city.now())
            city.ahead = WAITS[0] + timedelta(seconds=1)
            assert await city.deliver() == Delivered(1, 0, 0)
            assert len(receiver.got) == 1

    told(story)


def test_the_sender_of_the_settings_reaches_named_networks_only(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        signer = city.exchange.keys.signer("event")
        async with sender(city.settings) as opened:
            assert await opened.send(receiver.url, b"{}", {}, signer, city.now()) is None
        bare = city.settings.model_copy(update={"webhook_networks": ()})
        async with sender(bare) as opened:
            assert await opened.send(receiver.url, b"{}", {}, signer, city.now()) == "AddressRefused"

    told(story)


def test_modes_are_needed(told: Told) -> None:
    async def story(city: City) -> None:
        from exchange.grants.grant import ModeNotGranted

        await city.give(modes=frozenset({Mode.VERIFY}))
        with pytest.raises(ModeNotGranted):
            await city.subscribe("person-changed")

    told(story)


def test_what_lies_dead_for_long_is_gone_on_without(told: Told, receiver: Receiver) -> None:
    async def story(city: City) -> None:
        made = await subscribed(city, receiver.url)
        await renamed(city, "张三")
        city.sql("UPDATE exchange.feed_event SET dead_at = now(), next_attempt_at = NULL")
        await renamed(city, "张")
        assert await city.deliver() == Delivered(), "the later one waits behind the dead one"
        days = timedelta(days=city.settings.dead_message_days)
        assert await forgetting.forget(city.exchange, city.now() + days - timedelta(hours=1)) == 0
        assert await forgetting.forget(city.exchange, city.now() + days + timedelta(hours=1)) == 1
        assert await city.deliver() == Delivered(1, 0, 0)
        async with city.exchange.pool.acquire() as connection:
            assert await dead(connection, made.id, 9) == []
        (told,) = city.records("content-forgotten")
        assert (told["what"], told["number"]) == ("dead-events", 1)

    told(story)
