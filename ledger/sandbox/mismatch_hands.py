"""The hands that plant mismatches: on the ledger as its users and workers do, on the sandbox as people do.

Sends are written down as the send ledger writes them, and told to the sandbox or not, as a plot wants it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import httpx

from ledger.commands.accounts import change_account
from ledger.commands.contracts import change_contract
from ledger.commands.usage import record_usage
from ledger.domain.accounts import AliasAccount, OpenAccount
from ledger.domain.adjustment_events import Adjustment, AdjustmentApproved, AdjustmentProposed
from ledger.domain.agreements import ContractTerms, PlanChoice
from ledger.domain.contracting import StartContract
from ledger.domain.events import Event, UsageRecorded
from ledger.domain.metadata import Metadata
from ledger.domain.money import Money
from ledger.domain.names import adjustment_stream, stream_id
from ledger.domain.send_events import (
    SendCancelSettled,
    SendingStarted,
    SendOutcome,
    Settlement,
    UsageSend,
    UsageSendIntended,
    UsageSendSettled,
)
from ledger.domain.topics import encode
from ledger.event_log import EventLog
from ledger.log_rows import NewEvent
from ledger.projections.catalogue import CatalogueFollower
from ledger.sandbox.stripe import Sandbox

PLATFORM: Final = "stripe"
METER: Final = "tokens"
METADATA: Final = Metadata(actor="demo", source="cli")
VALUES: Final = tuple(Decimal(2) ** number for number in range(1, 9))
"""What the usage of each account is worth: no two sets of them come to the same."""


@dataclass(slots=True)
class Hands:
    """A ledger and a sandbox in one process; `client` asks the sandbox's API, `begun` is when all periods start."""

    log: EventLog
    follower: CatalogueFollower
    sandbox: Sandbox
    client: httpx.AsyncClient
    begun: datetime
    products: dict[str, str] = field(default_factory=dict)
    _batches: int = 0

    async def ask(self, path: str, **form: object) -> dict[str, Any]:
        """Post a form to the sandbox's API."""
        answer = await self.client.post(path, data=_flat(form))
        if answer.is_error:
            raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
        made: dict[str, Any] = answer.json()
        return made

    async def refreshed(self) -> None:
        """Let the catalogue catch up with the log."""
        await self.follower.refresh()

    async def customer(self, name: str) -> str:
        """A new customer there."""
        return str((await self.ask("/v1/customers", name=name))["id"])

    async def subscribe(self, customer: str, *products: str) -> str:
        """A subscription of a customer to some prices, from now on."""
        items = {f"items[{number}][price]": self.products[one] for number, one in enumerate(products)}
        return str((await self.ask("/v1/subscriptions", customer=customer, **items))["id"])

    async def open(
        self, account: str, customer: str | None, *, anchor: datetime | None = None, plan: str = "pro"
    ) -> None:
        """An account with a contract whose periods begin like those there, unless another anchor is given."""
        now = self.sandbox.clock.moment
        opened = OpenAccount(account, account, "UTC", self.begun - timedelta(days=30))
        await change_account(self.log, opened, now=now, metadata=METADATA)
        if customer is not None:
            await change_account(self.log, AliasAccount(account, customer), now=now, metadata=METADATA)
        await self.refreshed()
        terms = ContractTerms(currency="EUR", alignment="anniversary", anchor=anchor or self.begun, starts="instant")
        command = StartContract(account, min(anchor or self.begun, self.begun), PlanChoice(plan=plan), terms)
        await change_contract(self.log, self.follower.catalogue, command, now=now, metadata=METADATA)

    async def use(self, account: str, *values: Decimal, start: datetime | None = None) -> list[int]:
        """Usage of an account, an event an hour from half a day after the start; returns its positions."""
        first = (start or self.begun) + timedelta(hours=12)
        told = [
            UsageRecorded(
                source=account,
                id=f"{first.isoformat()} {number}",
                type=METER,
                subject=account,
                time=first + timedelta(hours=number),
                data={"tokens": value},
            )
            for number, value in enumerate(values)
        ]
        await self.refreshed()
        recorded = await record_usage(
            self.log, self.follower.catalogue, told, now=self.sandbox.clock.moment, metadata=METADATA.encode()
        )
        return list(recorded.positions)

    async def start_sending(self, account: str, customer: str, *, since: datetime | None = None) -> None:
        """Have the account's usage told from a moment on."""
        event = SendingStarted(platform=PLATFORM, account=account, customer=customer, since=since or self.begun)
        await self._append(event, account)

    async def send(
        self,
        account: str,
        customer: str,
        position: int,
        value: Decimal,
        at: datetime,
        *,
        outcome: SendOutcome = "accepted",
        code: str | None = None,
        told_as: tuple[str, Decimal] | None = None,
        is_told: bool | None = None,
        attempts: int = 1,
    ) -> str:
        """One send and its outcome; told to the sandbox if it is acknowledged, or as is said; returns its identifier.

        `told_as` is another customer and value than the log says.
        """
        identifier = f"{account}-{position}-{self._batches}"
        send = UsageSend(
            identifier=identifier,
            position=position,
            account=account,
            meter=METER,
            customer=customer,
            event_type=METER,
            value=value,
            timestamp=at.replace(microsecond=0),
        )
        now = self.sandbox.clock.moment
        self._batches += 1
        batch = f"planted {self._batches}"
        await self._append(
            UsageSendIntended(platform=PLATFORM, batch=batch, intended_at=now, derived_up_to=position, sends=(send,))
        )
        if (outcome == "accepted") if is_told is None else is_told:
            whom, what = told_as or (customer, value)
            await self.tell(whom, what, send.timestamp, identifier)
        for attempt in range(1, attempts + 1):
            settled = now if attempt == 1 else now + timedelta(hours=30)
            one = Settlement(identifier=identifier, outcome=outcome, code=code)
            event = UsageSendSettled(
                platform=PLATFORM, batch=batch, attempt=attempt, settled_at=settled, settlements=(one,)
            )
            await self._append(event)
        return identifier

    async def tell(self, customer: str, value: Decimal, at: datetime, identifier: str) -> None:
        """A meter event, as whoever has the key may tell one."""
        payload = {"payload[stripe_customer_id]": customer, "payload[value]": f"{value:f}"}
        timestamp = str(int(at.timestamp()))
        await self.ask(
            "/v1/billing/meter_events", event_name=METER, identifier=identifier, timestamp=timestamp, **payload
        )

    async def cancel(self, identifier: str) -> None:
        """Take a send back there, and keep that it was."""
        cancelled = {"cancel[identifier]": identifier}
        await self.ask("/v1/billing/meter_event_adjustments", event_name=METER, type="cancel", **cancelled)
        settlement = Settlement(identifier=identifier, outcome="accepted")
        settled = SendCancelSettled(platform=PLATFORM, settlement=settlement, settled_at=self.sandbox.clock.moment)
        await self._append(settled)

    async def adjust(self, account: str, *, quantity: Decimal | None = None, amount: Money | None = None) -> None:
        """An approved adjustment of the period, of usage or in money."""
        adjustment = Adjustment(
            adjustment=f"planted {account}",
            kind="usage" if amount is None else "credit",
            at=self.begun + timedelta(days=5),
            reason="goodwill",
            note="planted",
            amount=amount,
            meter=None if quantity is None else METER,
            quantity=quantity,
        )
        now = self.sandbox.clock.moment
        proposed = AdjustmentProposed(
            account=account,
            adjustment=adjustment,
            proposed_by="Olivia",
            role="ops",
            proposed_at=now,
            expires_at=now + timedelta(days=14),
            effect=amount or Money(0, "EUR"),
        )
        approved = AdjustmentApproved(
            account=account, adjustment=adjustment.adjustment, approved_by="Pat", is_automatic=False
        )
        rows = [
            NewEvent(adjustment_stream(account), version, event.TOPIC, account, now, encode(event), METADATA.encode())
            for version, event in enumerate((proposed, approved), 1)
        ]
        await self.log.append(rows)

    async def _append(self, event: Event, account: str | None = None) -> None:
        self._batches += 1
        stream = stream_id("", "planted", str(self._batches))
        now = self.sandbox.clock.moment
        await self.log.append([NewEvent(stream, 1, event.TOPIC, account, now, encode(event), METADATA.encode())])


def _flat(form: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in form.items()}
