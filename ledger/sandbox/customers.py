"""Made-up customers of a made-up AI platform, and the meters it bills by."""

from typing import Final, NamedTuple

from ledger.domain.metering import Filter, MeterDefinition

LABEL: Final = "generated"
"""Stands in the name of every made-up account and in the source of every made-up event."""


class Customer(NamedTuple):
    """A made-up account. `weight` is its share of the usage, `growth` what that gains in the month, in percent."""

    key: str
    name: str
    zone: str
    aliases: tuple[str, ...]
    weight: int
    growth: int


_NAMES: Final = """
northwind-robotics       Northwind Robotics          America/Los_Angeles   90   35
harbor-health            Harbor Health               America/New_York      75   10
lumen-legal              Lumen Legal                 America/Chicago       60   20
kestrel-games            Kestrel Games               Europe/Stockholm      58   45
alpine-freight           Alpine Freight              Europe/Zurich         52    5
sakura-learning          Sakura Learning             Asia/Tokyo            50   25
monsoon-retail           Monsoon Retail              Asia/Kolkata          48   30
fjord-energy             Fjord Energy                Europe/Oslo           40    0
pampas-foods             Pampas Foods                America/Sao_Paulo     38   15
southern-cross-travel    Southern Cross Travel       Australia/Sydney      36  -10
quartz-analytics         Quartz Analytics            Europe/London         34   20
saffron-kitchen          Saffron Kitchen             Asia/Dubai            30    8
juniper-notes            Juniper Notes               America/Denver        28   60
baltic-books             Baltic Books                Europe/Tallinn        25    5
redwood-credit           Redwood Credit              America/Los_Angeles   24    0
mesa-motors              Mesa Motors                 America/Phoenix       22   12
tidal-music              Tidewater Music             Europe/Dublin         21   18
cobalt-security          Cobalt Security             Asia/Jerusalem        20   25
orchard-pay              Orchard Pay                 Europe/Berlin         19   10
lantern-support          Lantern Support             Asia/Manila           18   40
canopy-climate           Canopy Climate              Africa/Nairobi        16   22
glacier-lab              Glacier Lab                 Atlantic/Reykjavik    15    0
papaya-design            Papaya Design               America/Bogota        14   15
ember-homes              Ember Homes                 America/Toronto       13    5
zephyr-air               Zephyr Air                  Europe/Lisbon         12   -5
velvet-fashion           Velvet Fashion              Europe/Paris          11   12
ironwood-works           Ironwood Works              America/Detroit       10    3
lotus-wellness           Lotus Wellness              Asia/Singapore         9   20
citadel-archives         Citadel Archives            Europe/Rome            8    0
penguin-logistics        Penguin Logistics           Pacific/Auckland       8    9
boreal-bank              Boreal Bank                 Europe/Helsinki        7    4
himalaya-outdoor         Himalaya Outdoor            Asia/Kathmandu         6   15
delta-drones             Delta Drones                Africa/Lagos           6   50
outback-telecom          Outback Telecom             Australia/Darwin       5    2
tundra-tools             Tundra Tools                America/Anchorage      4    0
halifax-harvest          Halifax Harvest             America/Halifax        4    6
"""


def _customers() -> tuple[Customer, ...]:
    customers = []
    for number, line in enumerate(_NAMES.strip().splitlines()):
        key, rest = line.split(maxsplit=1)
        name, zone, weight, growth = rest.rsplit(maxsplit=3)
        aliases = (f"cus_{key[:3].upper()}{number:04}",) if number % 3 != 2 else ()
        customers.append(Customer(key, f"{name.strip()} ({LABEL})", zone, aliases, int(weight), int(growth)))
    return tuple(customers)


CUSTOMERS: Final = _customers()

ALIAS_NOT_YET_THERE: Final = "cus_NEW9000"
"""Usage is told under it before anybody made it an alias: it is held until somebody does."""

METERS: Final[dict[str, MeterDefinition]] = {
    "llm_input_tokens": MeterDefinition(
        name="LLM input tokens",
        event_type="llm.completion",
        aggregation="sum",
        property="input_tokens",
        dimensions=("model", "region"),
        unit="tokens",
    ),
    "llm_output_tokens": MeterDefinition(
        name="LLM output tokens",
        event_type="llm.completion",
        aggregation="sum",
        property="output_tokens",
        dimensions=("model", "region"),
        unit="tokens",
    ),
    "api_requests": MeterDefinition(
        name="API requests",
        event_type="api.request",
        aggregation="count",
        filters=(Filter(property="internal", values=(False, None)),),
        dimensions=("endpoint", "status", "feature"),
        unit="requests",
    ),
    "active_users": MeterDefinition(
        name="Active users",
        event_type="api.request",
        aggregation="unique_count",
        property="user",
        unit="users",
    ),
    "storage": MeterDefinition(
        name="Storage",
        event_type="storage.changed",
        aggregation="time_weighted_sum",
        property="gigabytes",
        unit="GB",
        carries_over=True,
    ),
    "seats": MeterDefinition(
        name="Seats",
        event_type="seat.changed",
        aggregation="unique_count",
        property="seat",
        unit="seats",
        carries_over=True,
    ),
    "connections_peak": MeterDefinition(
        name="Peak connections",
        event_type="connections.sampled",
        aggregation="max",
        property="connections",
        dimensions=("region",),
        unit="connections",
    ),
    "agent_build": MeterDefinition(
        name="Agent build in use",
        event_type="agent.reported",
        aggregation="latest",
        property="build",
        unit="build number",
        carries_over=True,
    ),
}
