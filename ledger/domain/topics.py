"""Every event that the log may hold, by its permanent topic, and the bytes it is stored as: its JSON."""

import msgspec

from ledger.domain.adjustment_events import (
    AdjustmentApproved,
    AdjustmentLimitChanged,
    AdjustmentProposed,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    ReasonCodeAdded,
    ReasonCodeRetired,
)
from ledger.domain.audit_events import AttemptRefused, AttemptRepeated, UsageBackfilled
from ledger.domain.case_events import (
    CaseAssigned,
    CaseCommented,
    CaseOpened,
    CaseReassessed,
    CaseReopened,
    CaseResolved,
    CaseSettled,
)
from ledger.domain.closing_events import InvoiceClosed, LateUsageAssessed, PeriodClosed
from ledger.domain.events import (
    AccountAliased,
    AccountAliasRemoved,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    ContractEnded,
    ContractPaused,
    ContractPlanChanged,
    ContractResumed,
    ContractStarted,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    Event,
    KeyIssued,
    KeyRevoked,
    MeterChanged,
    MeterDefined,
    MeterRetired,
    PlanDefined,
    PlanRetired,
    PlanRevised,
    UsageConflicted,
    UsageDismissed,
    UsageMended,
    UsageRecorded,
)
from ledger.domain.platform_events import (
    CreditNoteSynced,
    CustomerSynced,
    InvoiceSynced,
    ObstacleEncountered,
    PlatformMeterSynced,
    PlatformNotified,
    PriceSynced,
    SubscriptionSynced,
)
from ledger.domain.reconciliation_events import ReconciliationFinished
from ledger.domain.replay_events import ReplayFinished
from ledger.domain.send_events import (
    CreditSendIntended,
    CreditSendSettled,
    MeterMapped,
    SendCancelIntended,
    SendCancelSettled,
    SendingStarted,
    SendingStopped,
    UsageSendIntended,
    UsageSendSettled,
)
from ledger.domain.values import exact_number

EVENTS: tuple[type[Event], ...] = (
    UsageRecorded,
    UsageConflicted,
    UsageMended,
    UsageDismissed,
    AccountOpened,
    AccountRenamed,
    AccountZoneChanged,
    AccountAliased,
    AccountAliasRemoved,
    MeterDefined,
    MeterChanged,
    MeterRetired,
    KeyIssued,
    KeyRevoked,
    PlanDefined,
    PlanRevised,
    PlanRetired,
    ContractStarted,
    ContractPlanChanged,
    ContractPaused,
    ContractResumed,
    ContractEnded,
    CreditGranted,
    CreditRevoked,
    EntitlementChanged,
    AdjustmentProposed,
    AdjustmentApproved,
    AdjustmentRejected,
    AdjustmentWithdrawn,
    ReasonCodeAdded,
    ReasonCodeRetired,
    AdjustmentLimitChanged,
    PeriodClosed,
    InvoiceClosed,
    LateUsageAssessed,
    AttemptRefused,
    AttemptRepeated,
    UsageBackfilled,
    ReplayFinished,
    ReconciliationFinished,
    PlatformNotified,
    CustomerSynced,
    PlatformMeterSynced,
    PriceSynced,
    SubscriptionSynced,
    InvoiceSynced,
    CreditNoteSynced,
    ObstacleEncountered,
    SendingStarted,
    SendingStopped,
    MeterMapped,
    UsageSendIntended,
    UsageSendSettled,
    SendCancelIntended,
    SendCancelSettled,
    CreditSendIntended,
    CreditSendSettled,
    CaseOpened,
    CaseReassessed,
    CaseAssigned,
    CaseCommented,
    CaseResolved,
    CaseReopened,
    CaseSettled,
)
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoders = {event.TOPIC: msgspec.json.Decoder(event, float_hook=exact_number) for event in EVENTS}


def encode(event: Event) -> bytes:
    """The event's stored bytes: compact JSON, fields in declared order, decimals as number literals."""
    return _encoder.encode(event)


def decode(topic: str, state: bytes | str) -> Event:
    """The event that the stored bytes of a topic stand for; exact inverse of `encode`."""
    return _decoders[topic].decode(state)
