"""Names and the streams they stand for."""

from uuid import UUID, uuid5

import pytest

from ledger.domain import names
from ledger.domain.names import (
    account_stream,
    contract_stream,
    key_stream,
    meter_stream,
    plan_stream,
    require_name,
    require_zone,
    stream_id,
    usage_stream,
)
from ledger.domain.refusals import NameInvalid, ZoneUnknown


@pytest.mark.parametrize("name", ["a", "a" * 256, "cus_1 / prod", "Zoë", "顧客", "🦊"])
def test_printable_text_is_a_name(name: str) -> None:
    require_name(name, "an account")


@pytest.mark.parametrize("name", ["", " a", "a ", "a" * 257, "a\0", "a\n", "\u200b", "\ud800", "\u00a0a"])
def test_what_cannot_be_read_aloud_is_no_name(name: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        require_name(name, "an account")
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/St_Johns", "Pacific/Apia"])
def test_a_zone_of_the_database_is_known(zone: str) -> None:
    require_zone(zone)


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "/etc/passwd", "a\0b", "Europe", "x" * 5000])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ZoneUnknown):
        require_zone(zone)


@pytest.mark.parametrize("parts", [("gateway", "e1"), ("", "account", "acme"), ("é", "🦊"), ("",)])
def test_a_stream_is_the_version_5_uuid_of_its_parts(parts: tuple[str, ...]) -> None:
    assert UUID(bytes=stream_id(*parts)) == uuid5(UUID(bytes=names._NAMESPACE), "\0".join(parts))


def test_the_streams_never_change() -> None:
    """Another id here would make every stored stream unfindable: these are for ever."""
    usage = usage_stream("gateway", "e1")
    decided = [
        account_stream("acme"),
        meter_stream("tokens"),
        key_stream("k1"),
        plan_stream("p"),
        contract_stream("acme"),
    ]
    assert [stream.hex() for stream in (usage, *decided)] == [
        "cb2b90b7d0e6500eae9a2881cc7dbb03",
        "89bee612ab485e38ba4929e72e281d76",
        "51262df5165f5979a5c86ee8fcfdd722",
        "219b63324c1f58c4a46c0617fb7f3109",
        "0da1462586c6547ba74997aab84b5916",
        "6d6a7f8664b9502884a8e732888469d5",
    ]


def test_streams_of_different_kinds_never_meet() -> None:
    """Usage has a source of at least one character, so no usage event can name an account's stream."""
    same = "x"
    decided = {make(same) for make in (account_stream, meter_stream, key_stream, plan_stream, contract_stream)}
    assert len(decided | {usage_stream(same, same)}) == 6
