"""Usage from files: mapping, readers, and whole imports into a real ledger."""

import csv
import gzip
import io
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ledger.commands.accounts import change_account
from ledger.commands.meters import change_meter
from ledger.database import open_pool
from ledger.domain.accounts import OpenAccount
from ledger.domain.events import UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.metering import MeterDefinition
from ledger.domain.meters import DefineMeter
from ledger.domain.refusals import UsageUnreadable
from ledger.event_log import EventLog
from ledger.projections.catalogue import CatalogueFollower
from ledger.projections.runner import Projector
from ledger.projections.usage import usage
from ledger.usage_import.importer import Tally, import_usage, told
from ledger.usage_import.mapping import (
    Given,
    MappingInvalid,
    PropertyColumn,
    TimeColumn,
    UsageMapping,
    completed,
    read_mapping,
)
from ledger.usage_import.readers import FileUnreadable, open_rows

MAPPINGS = Path(__file__).resolve().parents[1] / "docs" / "mappings"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
METADATA = Metadata(actor="test")

SIMPLE = UsageMapping(
    id="{line}",
    source="file:calls.csv",
    type="call",
    subject="acme",
    time=TimeColumn("at", zone="UTC"),
    properties={"tokens": PropertyColumn("tokens", type="number")},
)


def written(directory: Path, name: str, content: str | bytes) -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def events(path: Path, mapping: UsageMapping | None = None, given: Given | None = None) -> list[UsageRecorded | str]:
    """What each row tells: the event, or why there is none."""
    with open_rows(path) as rows:
        whole = None
        if mapping is not None or not rows.is_cloudevents:
            whole = completed(mapping, rows.columns, given=given or Given(), file=path.name)
        return [one.usage.why if isinstance(one.usage, UsageUnreadable) else one.usage for one in told(rows, whole)]


def only(path: Path, mapping: UsageMapping | None = None, given: Given | None = None) -> UsageRecorded:
    (event,) = events(path, mapping, given)
    assert isinstance(event, UsageRecorded), event
    return event


def test_a_time_without_zone_and_with_seven_digits_is_read_in_the_mappings_zone(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "at,tokens\n2023-11-16 18:17:03.9799600,4808\n")
    event = only(path, SIMPLE)
    assert event.time == datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC)
    assert event.data == {"tokens": 4808}


def test_a_time_without_zone_is_refused_where_no_zone_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "time,account,type\n2023-11-16 18:17:03,acme,call\n")
    assert events(path) == ['the times in "time" name no zone: give --zone, say UTC']
    zoned = only(path, given=Given(zone="Europe/Paris"))
    assert zoned.time == datetime(2023, 11, 16, 17, 17, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("unix", "1700158623.5", datetime(2023, 11, 16, 18, 17, 3, 500000, tzinfo=UTC)),
        ("unix_milliseconds", "1700158623979", datetime(2023, 11, 16, 18, 17, 3, 979000, tzinfo=UTC)),
        ("unix_microseconds", "1700158623979960", datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC)),
        ("%d/%b/%Y:%H:%M:%S %z", "16/Nov/2023:19:17:03 +0100", datetime(2023, 11, 16, 18, 17, 3, tzinfo=UTC)),
        ("iso", "2023-11-16T19:17:03+01:00", datetime(2023, 11, 16, 18, 17, 3, tzinfo=UTC)),
    ],
)
def test_times_have_many_formats(tmp_path: Path, pattern: str, text: str, expected: datetime) -> None:
    mapping = UsageMapping(type="call", subject="acme", time=TimeColumn("at", pattern))
    assert only(written(tmp_path, "calls.csv", f"at\n{text}\n"), mapping).time == expected


@pytest.mark.parametrize("text", ["yesterday", "10:00", "2023-13-01", "99999999999999999999", "-1", "", "NaN"])
@pytest.mark.parametrize("pattern", ["iso", "unix"])
def test_what_is_no_time_is_refused_and_nothing_breaks(tmp_path: Path, text: str, pattern: str) -> None:
    mapping = UsageMapping(type="call", subject="acme", time=TimeColumn("at", pattern, "UTC"))
    (why,) = events(written(tmp_path, "calls.csv", f'at,n\n"{text}",1\n'), mapping)
    assert isinstance(why, str)


def test_an_id_comes_from_the_line_or_from_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "at,tokens,region\n2026-01-01,1,eu\n2026-01-02,2,us\n")
    by_line = [event.id for event in events(path, SIMPLE) if isinstance(event, UsageRecorded)]
    assert by_line == ["2", "3"]
    named = [event.id for event in events(path, SIMPLE, Given(id="{region}/{tokens}")) if not isinstance(event, str)]
    assert named == ["eu/1", "us/2"]


def test_columns_are_recognised_by_their_names(tmp_path: Path) -> None:
    header = "Event_ID,Customer_ID,Event_Type,Timestamp,tokens,cached,zip\n"
    event = only(written(tmp_path, "calls.csv", f"{header}e1,acme,call,2026-01-01T00:00:00Z,1.50,true,00501\n"))
    assert (event.id, event.subject, event.type, event.source) == ("e1", "acme", "call", "file:calls.csv")
    assert event.data == {"tokens": Decimal("1.50"), "cached": True, "zip": "00501"}


def test_what_nothing_tells_is_asked_for_by_option(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "time,tokens\n2026-01-01T00:00:00Z,1\n")
    with pytest.raises(MappingInvalid, match=r"type is: give --type or a --mapping\. The columns are: time, tokens"):
        events(path)
    with pytest.raises(MappingInvalid, match="account is: give --account"):
        events(path, given=Given(type="call"))
    assert only(path, given=Given(type="call", subject="acme")).data == {"tokens": 1}


def test_a_mapping_of_absent_columns_or_an_unknown_zone_is_refused_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "when,tokens\n2026-01-01,1\n")
    with pytest.raises(MappingInvalid, match='names the column "at", but the columns are: when, tokens'):
        events(path, SIMPLE)
    with pytest.raises(MappingInvalid, match="Nowhere"):
        events(written(tmp_path, "more.csv", "at,tokens\n2026-01-01,1\n"), SIMPLE, Given(zone="Nowhere/City"))


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.toml", "id = 5"), ("m.toml", "idd = 'x'"), ("m.toml", "[["), ("m.json", "{"), ("m.json", '{"type": 1}')],
)
def test_a_broken_mapping_file_is_told_in_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(MappingInvalid, match=name):
        read_mapping(written(tmp_path, name, content))


def test_a_mapping_can_be_json_and_hold_constants(tmp_path: Path) -> None:
    content = {
        "type": "call",
        "subject": "{team}",
        "time": {"column": "at", "zone": "UTC"},
        "properties": {"plan": {"value": "pro"}, "paid": {"column": "paid", "type": "boolean"}},
    }
    mapping = read_mapping(written(tmp_path, "m.json", json.dumps(content)))
    event = only(written(tmp_path, "calls.csv", "at,team,paid\n2026-01-01,acme,yes\n"), mapping)
    assert (event.subject, event.data) == ("acme", {"plan": "pro", "paid": True})


def test_bad_rows_do_not_stop_the_good_ones(tmp_path: Path) -> None:
    rows = ["at,tokens", "2026-01-01,1", "2026-01-01", "never,2", "2026-01-01,many", "", "2026-01-01,", "2026-01-02,7"]
    path = written(tmp_path, "calls.csv", "\n".join(rows) + "\n")
    fates = [one if isinstance(one, str) else one.data for one in events(path, SIMPLE)]
    assert fates == [
        {"tokens": 1},
        "it has 1 cells, the first line has 2",
        '"never" in "at" is no time in the format iso',
        '"many" in "tokens" is no number',
        {},
        {"tokens": 7},
    ]


def test_json_lines_may_be_cloudevents_exactly_as_they_are(tmp_path: Path) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "t",
        "subject": "a",
        "time": "2026-01-01T00:00:00Z",
    }
    lines = [
        json.dumps({**event, "data": {"n": 1}})[:-2] + ', "x": 1.10}}',
        "{",
        "[1]",
        json.dumps({**event, "id": ""}),
    ]
    first, *bad = events(written(tmp_path, "events.jsonl", "\n".join(lines)))
    assert isinstance(first, UsageRecorded)
    assert first.data["x"] == Decimal("1.10")
    assert len(bad) == 3
    assert all(isinstance(one, str) for one in bad)


def test_json_lines_may_be_mapped_and_packed(tmp_path: Path) -> None:
    lines = b'{"at":"2026-01-01T00:00:00Z","tokens":12345678901234567890.5}\n\n{"at":"2026-01-01T00:00:00Z"}\n'
    plain = events(written(tmp_path, "calls.jsonl", lines), SIMPLE)
    packed = events(written(tmp_path, "calls.jsonl.gz", gzip.compress(lines)), SIMPLE)
    assert plain == packed
    assert isinstance(plain[0], UsageRecorded)
    assert plain[0].data == {"tokens": Decimal("12345678901234567890.5")}
    assert [one.id for one in plain if not isinstance(one, str)] == ["1", "3"]


def test_an_endless_line_is_refused_without_being_held_in_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "calls.jsonl", b'{"at":"' + b"x" * 3_000_000 + b'"}\n{"at":"2026-01-01","tokens":1}\n')
    with open_rows(path) as rows:
        first, second = (one.usage for one in told(rows, SIMPLE))
    assert isinstance(first, UsageUnreadable)
    assert isinstance(second, UsageRecorded)
    assert second.id == "2"


def test_parquet_floats_become_the_decimals_they_print_as(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "at": [datetime(2026, 1, 1, 12), datetime(2026, 1, 2)],  # noqa: DTZ001 - a file's times may be naive
            "tokens": [0.1, float("nan")],
            "price": [Decimal("1.10"), None],
            "ok": [True, None],
        }
    )
    frame.write_parquet(tmp_path / "calls.parquet")
    mapping = UsageMapping(
        type="call",
        subject="acme",
        time=TimeColumn("at", zone="UTC"),
        properties={name: PropertyColumn(name) for name in ("tokens", "price", "ok")},
    )
    good, bad = events(tmp_path / "calls.parquet", mapping)
    assert isinstance(good, UsageRecorded)
    assert good.data == {"tokens": Decimal("0.1"), "price": Decimal("1.10"), "ok": True}
    assert isinstance(bad, str)


def test_parquet_without_polars_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(FileUnreadable, match=r"install ledger\[parquet\]"):
        events(written(tmp_path, "calls.parquet", b"PAR1"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("calls.xlsx", b""),
        ("calls.parquet", b"not parquet"),
        ("calls.csv", b"a,a\n1,2\n"),
        ("calls.csv", b"\xff\xfe\x00"),
        ("calls.csv.gz", b"not gzip"),
        ("calls.csv", b""),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_in_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises((FileUnreadable, MappingInvalid)):
        events(written(tmp_path, name, content))


def test_an_absent_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="No such file"):
        events(tmp_path / "absent.csv")


class Imported:
    """A ledger for one test, with what its imports refused."""

    def __init__(self, pool: Any, log: EventLog) -> None:
        self.pool = pool
        self.log = log
        self.follower = CatalogueFollower(log)
        self.refused = io.BytesIO()

    async def read(self, path: Path, mapping: UsageMapping | None, **given: str) -> Tally:
        await self.follower.refresh()
        with open_rows(path) as rows:
            whole = completed(mapping, rows.columns, given=Given(**given), file=path.name)
            return await import_usage(
                self.log,
                self.follower.catalogue,
                told(rows, whole),
                clock=lambda: NOW,
                metadata=METADATA,
                refused=lambda: self.refused,
                progress=lambda tally: None,
            )

    async def define(self, meter: str, event_type: str, aggregation: Any, **more: Any) -> None:
        definition = MeterDefinition(name=meter, event_type=event_type, aggregation=aggregation, **more)
        await change_meter(self.log, DefineMeter(meter, definition), now=NOW, metadata=METADATA)

    async def open(self, account: str) -> None:
        await change_account(self.log, OpenAccount(account, account, "UTC"), now=NOW, metadata=METADATA)

    async def usage(self, account: str, meter: str, days: tuple[date, date], **more: Any) -> Any:
        await self.follower.refresh()
        await Projector(self.pool, self.log).catch_up()
        catalogue = self.follower.catalogue
        answer = await usage(
            self.pool, self.log, catalogue, account=account, meter=meter, start=days[0], end=days[1], **more
        )
        return answer.rows


@pytest.fixture
async def ledger(database_url: str) -> Any:
    async with await open_pool(database_url, application="test", size=4) as pool:
        log = await EventLog.open(pool, database_url)
        yield Imported(pool, log)
        await log.close()


async def test_importing_twice_stores_nothing_new_and_says_so(ledger: Imported, tmp_path: Path) -> None:
    rows = "".join(f"2026-01-01T00:00:{number % 60:02},{number}\n" for number in range(12_000))
    path = written(tmp_path, "calls.csv", f"at,tokens\n{rows}")
    first = await ledger.read(path, SIMPLE)
    second = await ledger.read(path, SIMPLE)
    assert (first.stored, first.duplicates) == (12_000, 0)
    assert (second.stored, second.duplicates) == (0, 12_000)
    assert (await ledger.log.head()).position == 12_000


async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(ledger: Imported, tmp_path: Path) -> None:
    lines = [f"2026-01-01,{number}\n" for number in range(9_000)]
    await ledger.read(written(tmp_path, "calls.csv", "at,tokens\n" + "".join(lines[:5_500])), SIMPLE)
    whole = await ledger.read(written(tmp_path, "calls.csv", "at,tokens\n" + "".join(lines)), SIMPLE)
    assert (whole.stored, whole.duplicates) == (3_500, 5_500)


async def test_a_changed_row_is_kept_beside_the_first_telling(ledger: Imported, tmp_path: Path) -> None:
    await ledger.read(written(tmp_path, "calls.csv", "at,tokens\n2026-01-01,1\n"), SIMPLE)
    again = await ledger.read(written(tmp_path, "calls.csv", "at,tokens\n2026-01-01,2\n"), SIMPLE)
    assert again.stored == 1
    assert sum(reason.count for reason in again.held.values()) == 1


async def test_refused_rows_are_listed_with_line_and_reason(ledger: Imported, tmp_path: Path) -> None:
    path = written(tmp_path, "calls.csv", "at,tokens\n2026-01-01,1\nnever,2\n2026-01-01,3\nnever,4\n")
    tally = await ledger.read(path, SIMPLE)
    (reason,) = tally.refused.values()
    assert (tally.stored, reason.count, reason.lines) == (2, 2, [3, 5])
    refused = [json.loads(line) for line in ledger.refused.getvalue().splitlines()]
    assert [(one["line"], one["row"]["tokens"]) for one in refused] == [(3, "2"), (5, "4")]
    assert refused[0]["code"] == "usage_unreadable"


def sums(path: Path, *columns: str) -> list[int]:
    """The sums of some columns, by nothing of ours."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [sum(int(row[column]) for row in rows) for column in columns]


@pytest.mark.shared
async def test_both_azure_traces_give_the_token_sums_of_their_files(ledger: Imported, shared: Path) -> None:
    mapping = read_mapping(MAPPINGS / "azure_llm.toml")
    hour = (date(2023, 11, 16), date(2023, 11, 17))
    await ledger.define("input_tokens", "llm.request", "sum", property="input_tokens")
    await ledger.define("output_tokens", "llm.request", "sum", property="output_tokens")
    for service, rows in (("code", 8_819), ("conv", 19_366)):
        path = shared / "data" / f"azure_llm_inference_2023_{service}.csv"
        await ledger.open(f"azure-{service}")
        first = await ledger.read(path, mapping, subject=f"azure-{service}")
        second = await ledger.read(path, mapping, subject=f"azure-{service}")
        assert (first.rows, first.stored, len(first.held), len(first.refused)) == (rows, rows, 0, 0)
        assert (second.stored, second.duplicates) == (0, rows)
        expected = sums(path, "ContextTokens", "GeneratedTokens")
        for meter, total in zip(("input_tokens", "output_tokens"), expected, strict=True):
            (row,) = await ledger.usage(f"azure-{service}", meter, hour, window="TOTAL")
            assert (row.quantity, row.event_count) == (total, rows)


@pytest.mark.shared
async def test_the_web_log_by_endpoint_and_day_adds_up_to_the_file(ledger: Imported, shared: Path) -> None:
    path = shared / "data" / "web_requests_2015.csv"
    days = (date(2015, 5, 17), date(2015, 5, 21))
    await ledger.open("web-site")
    await ledger.define("requests", "web.request", "count", dimensions=("endpoint",))
    await ledger.define("users", "web.request", "unique_count", property="user")
    mapping = read_mapping(MAPPINGS / "web_requests.toml")
    first = await ledger.read(path, mapping, subject="web-site")
    second = await ledger.read(path, mapping, subject="web-site")
    assert (first.stored, len(first.held), second.stored, second.duplicates) == (10_000, 0, 0, 10_000)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))

    by_day = await ledger.usage("web-site", "requests", days, window="DAY")
    assert [int(row.quantity) for row in by_day] == [
        sum(row["time"].startswith(f"2015-05-{day}") for row in rows) for day in (17, 18, 19, 20)
    ]
    by_endpoint = await ledger.usage("web-site", "requests", days, window="TOTAL", group_by=["endpoint"])
    assert {row.dimensions[0]: int(row.quantity) for row in by_endpoint} == {
        path: sum(row["path"] == path for row in rows) for path in {row["path"] for row in rows}
    }
    (users,) = await ledger.usage("web-site", "users", days, window="TOTAL")
    assert users.quantity == len({row["client"] for row in rows})
