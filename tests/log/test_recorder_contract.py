"""The `eventsourcing` library's own contract for a store of events, held by our log.

Left out, because there is nothing of the kind here: tracking and process recorders (a follower's cursor is kept by
`ledger.projections.watermark`, in the follower's transaction), and the library's factories, transcoders and mappers
(msgspec structs take their place, ADR-0001).
"""

import sys
import types
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.log.recorder import AggregateLogRecorder, LogRecorder

# The module of the contract also tests encryption; the package that does it is one that we do without.
_cipher = types.ModuleType("eventsourcing.cipher")
_cipher.AESCipher = object  # type: ignore[attr-defined]
with mock.patch.dict(sys.modules, {"eventsourcing.cipher": _cipher}):
    from eventsourcing.tests import persistence as contract


class TestStreams(contract.AggregateRecorderTestCase):
    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str) -> Iterator[None]:
        self.recorder = AggregateLogRecorder(database_url)
        yield
        self.recorder.close()

    def create_recorder(self) -> AggregateLogRecorder:
        return self.recorder


class TestTheWholeLog(contract.ApplicationRecorderTestCase[LogRecorder]):
    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str) -> Iterator[None]:
        self.recorder = LogRecorder(database_url)
        yield
        self.recorder.close()

    def create_recorder(self) -> LogRecorder:
        return self.recorder

    def test_insert_subscribe(self) -> None:
        """The contract has it as an option; here it is due, because followers are what the log is for."""
        self.optional_test_insert_subscribe()


class TestNoInterleaving(contract.NonInterleavingNotificationIDsBaseCase):
    @pytest.fixture(autouse=True)
    def _recorder(self, database_url: str) -> Iterator[None]:
        self.recorder = LogRecorder(database_url)
        yield
        self.recorder.close()

    def create_recorder(self) -> LogRecorder:
        return self.recorder
