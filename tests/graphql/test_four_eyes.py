"""Nobody approves what they proposed themselves: every way around it that we could think of, over GraphQL.

Each test fails when its guard is removed; what to remove is told beside it.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ledger.commands.adjustments import change_adjustment
from ledger.domain.adjusting import ApproveAdjustment
from ledger.domain.adjustment_refusals import AdjustmentExpired
from ledger.domain.metadata import Metadata
from tests.edges import Edge
from tests.graphql.adjusting import APPROVE, REJECT, REVERSE, SET_LIMIT, WITHDRAW, begin, decided, march, person

ALIAS = 'mutation { answer: aliasAccount(account: "acme", alias: "cus_1") { __typename } }'


async def test_two_keys_of_one_person_are_one_person(edge: Edge) -> None:
    """Remove `is_same_person` from `_of_another` in ledger/domain/adjusting.py."""
    await begin(edge)
    ann, ann_too = await person(edge, "Ann", "ops"), await person(edge, "Ann", "approver")
    await ann.propose("mine")
    assert (await ann_too.approve("mine"))["__typename"] == "FourEyes"
    assert (await ann_too.ask(REJECT, key="mine"))["__typename"] == "FourEyes"
    assert (await march(edge))["total"] == {"amount": "100"}


@pytest.mark.parametrize("name", ["ann lee", "ANN LEE", "Ann  Lee", "Ann Lee", "\uff21nn Lee"])
async def test_a_name_that_is_written_otherwise_is_the_same_persons(edge: Edge, name: str) -> None:
    """Make `person_key` in ledger/domain/adjustments.py return what it is given."""
    await begin(edge)
    ann, ann_too = await person(edge, "Ann Lee", "ops"), await person(edge, name, "approver")
    await ann.propose("mine")
    assert (await ann_too.approve("mine"))["__typename"] == "FourEyes"


async def test_one_key_with_both_roles_is_still_one_person(edge: Edge) -> None:
    await begin(edge)
    ann = await person(edge, "Ann", "ops", "approver", "admin")
    await ann.propose("mine")
    assert (await ann.approve("mine"))["__typename"] == "FourEyes"


async def test_an_alias_of_the_account_leads_to_the_same_adjustments(edge: Edge) -> None:
    """Give `account` in place of `context.account(account).key` to `ApproveAdjustment`."""
    await begin(edge)
    await edge.data(ALIAS)
    ann, ann_too = await person(edge, "Ann", "ops"), await person(edge, "Ann", "approver")
    pat = await person(edge, "Pat", "approver")
    await ann.propose("mine")
    assert (await ann_too.approve("mine", account="cus_1"))["__typename"] == "FourEyes"
    assert (await pat.approve("mine", account="cus_1"))["__typename"] == "AdjustmentDecision"
    assert (await pat.approve("mine"))["__typename"] == "AdjustmentDecision", "the one that there is"


async def test_a_machines_key_neither_proposes_nor_decides(edge: Edge) -> None:
    """Remove the refusal from `person_of` in ledger/graphql/adjustment_inputs.py."""
    await begin(edge)
    machine, ann = await person(edge, None, "ops", "approver"), await person(edge, "Ann", "ops")
    assert (await machine.propose("mine"))["__typename"] == "PersonRequired"
    await ann.propose("anns")
    assert (await machine.approve("anns"))["__typename"] == "PersonRequired"
    assert (await machine.ask(REJECT, key="anns"))["__typename"] == "PersonRequired"
    assert (await machine.ask(WITHDRAW, key="anns"))["__typename"] == "PersonRequired"


async def test_a_key_bound_to_another_account_decides_nothing_here(edge: Edge) -> None:
    """Remove both guards: `account="account"` of `approve_adjustment`, and what `Context.account` raises."""
    await begin(edge)
    ann = await person(edge, "Ann", "ops")
    stranger = await person(edge, "Pat", "approver", account="umbrella")
    await ann.propose("mine")
    assert (await stranger.approve("mine"))["__typename"] == "OutOfScope"


async def test_a_role_that_only_proposes_approves_nothing_and_the_other_way_round(edge: Edge) -> None:
    await begin(edge)
    ann, ben = await person(edge, "Ann", "ops"), await person(edge, "Ben", "ops")
    pat, ada = await person(edge, "Pat", "approver"), await person(edge, "Ada", "admin")
    assert (await pat.propose("x"))["__typename"] == "Forbidden"
    assert (await ada.propose("x"))["__typename"] == "Forbidden"
    await ann.propose("mine")
    assert (await ben.approve("mine"))["__typename"] == "Forbidden"
    assert (await ada.approve("mine"))["__typename"] == "Forbidden"


async def test_only_the_proposer_withdraws(edge: Edge) -> None:
    await begin(edge)
    ann, ben = await person(edge, "Ann", "ops"), await person(edge, "Ben", "ops")
    await ann.propose("mine")
    assert (await ben.ask(WITHDRAW, key="mine"))["__typename"] == "ProposerRequired"
    assert (await ann.ask(WITHDRAW, key="mine"))["adjustment"]["state"] == "WITHDRAWN"
    pat = await person(edge, "Pat", "approver")
    assert (await pat.approve("mine"))["__typename"] == "AdjustmentDecided"


async def test_of_many_who_approve_and_withdraw_at_once_one_decides(edge: Edge) -> None:
    """Remove the refusals from `_once` in ledger/domain/adjusting.py."""
    await begin(edge)
    ann = await person(edge, "Ann", "ops")
    others = [await person(edge, name, "approver") for name in ("Pat", "Paula", "Piet")]
    await ann.propose("mine")
    racing = [other.approve("mine") for other in others] + [ann.ask(WITHDRAW, key="mine")]
    racing += [others[0].ask(REJECT, key="mine")]
    answers = await asyncio.gather(*racing)
    decided = [one for one in answers if one["__typename"] == "AdjustmentDecision"]
    assert len(decided) == 1, answers
    outcomes = [row["topic"] for row in await edge.pool.fetch(DECISIONS)]
    assert len(outcomes) == 1


DECISIONS = """
select topic from events where topic in ('AdjustmentApproved', 'AdjustmentRejected', 'AdjustmentWithdrawn')
"""


async def test_a_repeated_mutation_changes_nothing_and_other_content_is_refused(edge: Edge) -> None:
    """Remove the comparison of content from `_propose` in ledger/domain/adjusting.py."""
    await begin(edge)
    ann, pat = await person(edge, "Ann", "ops"), await person(edge, "Pat", "approver")
    await ann.propose("mine")
    await pat.approve("mine")
    before = await decided(edge)
    again = await asyncio.gather(*(ann.propose("mine") for _ in range(5)), *(pat.approve("mine") for _ in range(5)))
    assert {one["adjustment"]["state"] for one in again} == {"APPROVED"}
    assert (await ann.propose("mine", amount="999"))["__typename"] == "AdjustmentExists"
    ben = await person(edge, "Ben", "ops")
    assert (await ben.propose("mine"))["__typename"] == "AdjustmentExists", "it is not Ben's"
    assert await decided(edge) == before
    assert (await march(edge))["total"] == {"amount": "87.5"}


async def limit(edge: Edge, by: str, amount: str) -> dict[str, Any]:
    return await (await person(edge, by, "admin")).ask(SET_LIMIT, role="ops", amount=amount)


async def test_raising_ones_own_limit_does_not_help(edge: Edge) -> None:
    """Remove `is_same_person` from `Rules.limit_for` in ledger/domain/adjustments.py."""
    await begin(edge)
    await limit(edge, "Ada", "1")
    await limit(edge, "ANN", "1000000")
    ann = await person(edge, "Ann", "ops")
    assert (await ann.propose("mine"))["adjustment"]["state"] == "PROPOSED"


async def test_splitting_an_amount_below_the_limit_does_not_help(edge: Edge) -> None:
    """Leave `before` out of `together` in `approval_of` in ledger/domain/adjusting.py."""
    await begin(edge)
    await limit(edge, "Ada", "30")
    ann, ann_too = await person(edge, "Ann", "ops"), await person(edge, "ANN", "ops")
    states = [
        (await one.propose(f"part {n}", amount="10"))["adjustment"]["state"] for n, one in enumerate([ann, ann_too] * 3)
    ]
    assert states == ["APPROVED"] * 3 + ["PROPOSED"] * 3
    assert (await march(edge))["total"] == {"amount": "70"}


async def test_proposing_many_parts_at_once_does_not_help(edge: Edge) -> None:
    """Give `decide_on` in `change_adjustment` a stream of its own for each adjustment."""
    await begin(edge)
    await limit(edge, "Ada", "30")
    ann = await person(edge, "Ann", "ops")
    await asyncio.gather(*(ann.propose(f"part {number}", amount="10") for number in range(8)))
    automatic = await edge.pool.fetchval("select count(*) from events where topic = 'AdjustmentApproved'")
    assert automatic <= 3


async def test_debits_and_credits_do_not_cancel_out_before_the_limit(edge: Edge) -> None:
    """Leave `abs` out of `approval_of`."""
    await begin(edge)
    await limit(edge, "Ada", "30")
    ann = await person(edge, "Ann", "ops")
    debit = {"kind": "DEBIT", "reason": "billing_error"}
    states = [
        (await ann.propose(f"{number}", amount="20", **told))["adjustment"]["state"]
        for number, told in enumerate([{}, debit])
    ]
    assert states == ["APPROVED", "PROPOSED"]


async def test_reversing_needs_a_second_person_too(edge: Edge) -> None:
    await begin(edge)
    ann, pat = await person(edge, "Ann", "ops"), await person(edge, "Pat", "approver")
    ann_too = await person(edge, "ann", "approver")
    await ann.propose("charge", kind="DEBIT", reason="billing_error")
    await pat.approve("charge")
    undo = {"adjustment": "charge", "reason": "mistaken_adjustment"}
    undone = await ann.ask(REVERSE, **undo, key="undo")
    assert undone["adjustment"]["state"] == "PROPOSED"
    assert (await ann_too.approve("undo"))["__typename"] == "FourEyes"
    await ann.ask(REVERSE, **undo, key="undo too")
    assert (await pat.approve("undo"))["adjustment"]["state"] == "APPROVED"
    assert (await pat.approve("undo too"))["__typename"] == "AdjustmentNotReversible", "once is enough"
    assert (await march(edge))["total"] == {"amount": "100"}


async def test_usage_whose_worth_is_not_settled_needs_a_second_person(edge: Edge) -> None:
    """Leave `is_settled` out of `approval_of`: what changes nothing now may be worth much once more is used."""
    await begin(edge, tokens=0)
    await limit(edge, "Ada", "1000")
    ann = await person(edge, "Ann", "ops")
    told = {"kind": "USAGE", "amount": None, "reason": "metering_fault", "meter": "tokens", "quantity": "-1000000"}
    proposed = (await ann.propose("later", **told))["adjustment"]
    assert (proposed["effect"]["amount"], proposed["state"]) == ("0", "PROPOSED")


async def test_an_expired_proposal_cannot_be_approved(edge: Edge) -> None:
    """Remove the first refusal from `_once`."""
    await begin(edge)
    ann = await person(edge, "Ann", "ops")
    await ann.propose("mine")
    later = datetime.now(UTC) + timedelta(days=14, seconds=1)
    command = ApproveAdjustment("acme", "mine", "Pat")
    with pytest.raises(AdjustmentExpired):
        await change_adjustment(edge.log, edge.follower.catalogue, command, now=later, metadata=Metadata(actor="test"))


async def test_nobody_is_called_like_the_ledger_itself(edge: Edge) -> None:
    """Remove the second refusal from `_person` in ledger/domain/access.py."""
    with pytest.raises(Exception, match="ledger is no person"):
        await person(edge, "Ledger", "approver")


async def test_what_is_not_there_cannot_be_approved(edge: Edge) -> None:
    await begin(edge)
    pat = await person(edge, "Pat", "approver")
    assert (await pat.ask(APPROVE, key="none"))["__typename"] == "AdjustmentUnknown"
    assert (await pat.ask(APPROVE, key="none", account="nobody"))["__typename"] == "AccountUnknown"
