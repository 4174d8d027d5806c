"""A month of made-up usage as CloudEvents, the same for the same seed, end and size.

It has what real usage has: days and weeks in each customer's own time zone, growth, retries, late events, clocks that
are wrong, and mistakes that the ledger holds.
"""

from bisect import bisect
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate, count
from operator import itemgetter
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from ledger.sandbox.customers import ALIAS_NOT_YET_THERE, CUSTOMERS, LABEL, Customer

CloudEvent = dict[str, Any]
Arrival = tuple[datetime, int, CloudEvent]
"""When an event reaches the ledger in the story, its number among all, and the event."""

EVENTS_USUAL: Final = 150_000
DAYS: Final = 30
RETRIES_PER_THOUSAND: Final = 12
LATE_PER_THOUSAND: Final = 6
SKEWED_PER_THOUSAND: Final = 8
MISTAKES_PER_TEN_THOUSAND: Final = 12

HOUR_WEIGHTS: Final = (4, 3, 2, 2, 2, 4, 9, 20, 45, 70, 82, 85, 70, 78, 88, 85, 75, 58, 38, 28, 22, 17, 12, 7)
"""How busy each local hour is, against 100."""
DAY_WEIGHTS: Final = (95, 100, 100, 98, 88, 34, 30)
"""How busy each day of the week is, Monday first, against 100."""

MODELS: Final = (("swift-3", 55), ("swift-3-mini", 30), ("reason-2", 11), ("vision-1", 4))
REGIONS: Final = (("eu-west", 40), ("us-east", 38), ("ap-south", 22))
ENDPOINTS: Final = (
    ("/v1/search", 34),
    ("/v1/documents", 25),
    ("/v1/chat", 20),
    ("/v1/embeddings", 12),
    ("/v1/exports", 5),
    ("/v1/admin/users", 4),
)
FEATURES: Final = {
    "/v1/search": "search",
    "/v1/embeddings": "search",
    "/v1/chat": "assistant",
    "/v1/documents": "library",
    "/v1/exports": "library",
    "/v1/admin/users": "administration",
}
STATUSES: Final = ((200, 930), (201, 30), (400, 14), (404, 12), (429, 9), (500, 5))

LLM: Final = f"urn:{LABEL}:llm-gateway"
API: Final = f"urn:{LABEL}:api-gateway"
PLATFORM: Final = f"urn:{LABEL}:platform"


def month(*, seed: int, end: datetime, events: int = EVENTS_USUAL) -> Iterator[CloudEvent]:
    """About `events` CloudEvents of the 30 days before `end`, in the order of their arrival; some arrive twice."""
    numbers = count()
    arrivals: list[Arrival] = []
    for customer in CUSTOMERS:
        random = Random(f"{seed} {customer.key}")  # noqa: S311 - made-up usage
        for event in _of_customer(customer, random, end, events):
            arrivals += _arrivals(event, random, numbers, end)
    arrivals.sort(key=itemgetter(0, 1))
    return map(itemgetter(2), arrivals)


def _of_customer(customer: Customer, random: Random, end: datetime, events: int) -> Iterator[CloudEvent]:
    yield from _seats(customer, random, end)
    yield from _storage(customer, random, end)
    yield from _builds(customer, random, end)
    yield from _samples(customer, random, end, events)
    yield from _traffic(customer, random, end, events)


def _traffic(customer: Customer, random: Random, end: datetime, events: int) -> Iterator[CloudEvent]:
    """API requests and LLM completions, hour by hour."""
    zone = ZoneInfo(customer.zone)
    share = customer.weight * events * 8 // 10 / sum(one.weight for one in CUSTOMERS)  # the rest are other kinds
    weekly = sum(DAY_WEIGHTS) * sum(HOUR_WEIGHTS) * DAYS // 7
    pick_model, pick_region = _picker(MODELS), _picker(REGIONS)
    pick_endpoint, pick_status = _picker(ENDPOINTS), _picker(STATUSES)
    users = [f"{customer.key[:4]}-user-{number}" for number in range(3 + customer.weight)]
    for hour in range(DAYS * 24):
        start = end - timedelta(hours=DAYS * 24 - hour)
        local = start.astimezone(zone)
        growth = 100 + customer.growth * (hour - DAYS * 12) // (DAYS * 24)
        expected = share * HOUR_WEIGHTS[local.hour] * DAY_WEIGHTS[local.weekday()] * growth / 100 / weekly
        for _ in range(_rounded(expected * random.randrange(60, 141) / 100, random)):
            at = start + timedelta(microseconds=random.randrange(3_600_000_000))
            if random.randrange(100) < 40:
                properties = {
                    "model": pick_model(random),
                    "region": pick_region(random),
                    "input_tokens": int(random.lognormvariate(6.4, 1.1)) + 1,
                    "output_tokens": int(random.lognormvariate(5.1, 0.9)) + 1,
                }
                yield _event(customer, random, LLM, "llm.completion", at, properties)
            else:
                endpoint = pick_endpoint(random)
                properties = {
                    "endpoint": endpoint,
                    "feature": FEATURES[endpoint],
                    "status": pick_status(random),
                    "user": users[int(len(users) * random.random() ** 2)],
                }
                if random.randrange(50) == 0:
                    properties["internal"] = True  # our own probes: the meter filters them out
                yield _event(customer, random, API, "api.request", at, properties)


def _samples(customer: Customer, random: Random, end: datetime, events: int) -> Iterator[CloudEvent]:
    """Connections, sampled at even steps."""
    zone = ZoneInfo(customer.zone)
    samples = max(events * 18 // 100 // len(CUSTOMERS), 1)
    for number in range(samples):
        at = end - timedelta(days=DAYS) + timedelta(days=DAYS) * number / samples
        local = at.astimezone(zone)
        level = customer.weight * HOUR_WEIGHTS[local.hour] * DAY_WEIGHTS[local.weekday()] // 4_000
        properties = {"connections": level + random.randrange(5), "region": REGIONS[customer.weight % 3][0]}
        yield _event(customer, random, PLATFORM, "connections.sampled", at, properties)


def _storage(customer: Customer, random: Random, end: datetime) -> Iterator[CloudEvent]:
    """What was stored and deleted; the first event is what was there before the month."""
    start = end - timedelta(days=DAYS)
    yield _stored(customer, random, start, customer.weight * 1_000)
    for _ in range(DAYS * 2):
        at = start + timedelta(seconds=random.randrange(DAYS * 86_400))
        yield _stored(customer, random, at, random.randint(-10, 25) * customer.weight)


def _stored(customer: Customer, random: Random, at: datetime, hundredths: int) -> CloudEvent:
    return _event(customer, random, PLATFORM, "storage.changed", at, {"gigabytes": f"{hundredths / 100:.2f}"})


def _seats(customer: Customer, random: Random, end: datetime) -> Iterator[CloudEvent]:
    """People get a seat and lose it again."""
    start = end - timedelta(days=DAYS)
    for number in range(2 + customer.weight // 3):
        seat = f"{customer.key[:4]}-seat-{number}"
        at = start + timedelta(seconds=random.randrange(DAYS * 86_400 // 2))
        yield _event(customer, random, PLATFORM, "seat.changed", at, {"seat": seat, "operation_type": "add"})
        if random.randrange(5) == 0:
            left = at + timedelta(seconds=random.randrange(DAYS * 86_400 // 2))
            yield _event(customer, random, PLATFORM, "seat.changed", left, {"seat": seat, "operation_type": "remove"})


def _builds(customer: Customer, random: Random, end: datetime) -> Iterator[CloudEvent]:
    """Which build of the agent runs, once a week."""
    for week in range(4):
        at = end - timedelta(days=28 - 7 * week, seconds=random.randrange(86_400))
        properties = {"build": 4_100 + 7 * week + customer.weight % 5}
        yield _event(customer, random, PLATFORM, "agent.reported", at, properties)


def _event(
    customer: Customer, random: Random, source: str, event_type: str, at: datetime, properties: dict[str, Any]
) -> CloudEvent:
    """One event, told under the account's key or, where it has one, half the time under its alias."""
    subject = customer.aliases[0] if customer.aliases and random.getrandbits(1) else customer.key
    return {
        "specversion": "1.0",
        "id": f"{random.getrandbits(96):024x}",
        "source": source,
        "type": event_type,
        "subject": subject,
        "time": at,
        "data": properties,
    }


def _arrivals(event: CloudEvent, random: Random, numbers: Iterator[int], end: datetime) -> Iterator[Arrival]:
    """When the event arrives: mostly soon; some days late, some by a wrong clock, some twice, some spoilt."""
    arrives = event["time"] + timedelta(seconds=random.randrange(1, 30))
    chance = random.randrange(1_000)
    if chance < LATE_PER_THOUSAND:
        arrives += timedelta(hours=random.randrange(12, 6 * 24))
    elif chance < LATE_PER_THOUSAND + SKEWED_PER_THOUSAND:
        event["time"] += timedelta(seconds=random.randrange(-300, 600))
    if random.randrange(10_000) < MISTAKES_PER_TEN_THOUSAND:
        yield from _mistaken(event, random, numbers, arrives, end)
        return
    yield arrives, next(numbers), event
    if random.randrange(1_000) < RETRIES_PER_THOUSAND:
        yield arrives + timedelta(seconds=random.randrange(1, 120)), next(numbers), event


def _mistaken(
    event: CloudEvent, random: Random, numbers: Iterator[int], arrives: datetime, end: datetime
) -> Iterator[Arrival]:
    """The event with one of the mistakes that real senders make."""
    properties: dict[str, Any] = event["data"]
    value = next(
        (name for name in ("input_tokens", "connections", "gigabytes", "build", "seat") if name in properties), None
    )
    match random.randrange(6):
        case 0:
            event["subject"] = f"{event['subject']}-old"
        case 1:
            event["subject"] = ALIAS_NOT_YET_THERE
        case 2 if value is not None:
            del properties[value]
        case 3 if value is not None and value != "seat":
            properties[value] = "unknown"
        case 4:
            event["time"] = end + timedelta(days=random.randrange(2, 400))
        case _:
            again = {**event, "data": {**properties, "region": "eu-north"}}
            yield arrives + timedelta(seconds=random.randrange(1, 3_600)), next(numbers), again
    yield arrives, next(numbers), event


def _picker(weighted: tuple[tuple[Any, int], ...]) -> Callable[[Random], Any]:
    """A function that picks one of the values by its weight."""
    bounds = list(accumulate(weight for _, weight in weighted))
    values = [value for value, _ in weighted]
    return lambda random: values[bisect(bounds, random.randrange(bounds[-1]))]


def _rounded(expected: float, random: Random) -> int:
    """A whole number whose mean is `expected`."""
    whole = int(expected)
    return whole + (random.random() < expected - whole)
