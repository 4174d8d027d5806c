"""Plans and contracts over GraphQL: every model, every command, and the refusals with their facts."""

from datetime import timedelta
from typing import Any

import pytest

from tests.edges import Edge, define_tokens_meter, open_accounts
from tests.graphql.billing import (
    CALENDAR,
    GRADUATED,
    LATER,
    OPENED,
    agree,
    charge,
    define_plan,
    open_since,
    start_contract,
    terms,
)

READ_PLAN = """
fragment quantityModel on QuantityModel {
  __typename
  ... on PerUnit { unitAmount }
  ... on Volume { tiers { upTo unitAmount } }
}
query {
  plan(key: "pro") {
    id retiredAt
    versions {
      version validFrom
      terms {
        name currency interval intervalCount amountMin amountMax
        fees { key amount term proration } discounts { key percent amount }
        charges {
          key label meterKey groupBy prorates: proratesAmounts proratesIncluded filters { dimension values }
          price {
            conversion { operation factor rounding places } includedQuantity standingAmount negative rounding
            model {
              __typename
              ... on PerUnit { unitAmount }
              ... on Graduated { tiers { upTo unitAmount flatAmount start } flatAtZero pastLastTier isProrated }
              ... on Volume { tiers { upTo unitAmount } pastLastTier }
              ... on GraduatedPercentage { percentTiers { upTo ratePercent } }
              ... on Package { packageAmount packageSize freeUnits }
              ... on Percentage { ratePercent fixedAmount freeEvents freeTotal eventAmountMin fixedAtZero }
              ... on Flat { amount term }
              ... on Dynamic { multiplier }
              ... on Dimensional { cells { match { dimension values } price { ...quantityModel } }
                                   otherwise { ...quantityModel } }
            }
          }
        }
      }
    }
  }
}
"""
MODELS: dict[str, dict[str, Any]] = {
    "PerUnit": {"perUnit": {"unitAmount": "0.000001"}},
    "Graduated": GRADUATED,
    "Volume": {"volume": {"tiers": [{"upTo": "5", "unitAmount": "1"}], "pastLastTier": "BILL_COVERED"}},
    "Package": {"package": {"packageAmount": "2.5", "packageSize": "100"}},
    "Percentage": {"percentage": {"ratePercent": "2.9", "fixedAmount": "0.3", "freeEvents": 3}},
    "GraduatedPercentage": {"graduatedPercentage": {"percentTiers": [{"ratePercent": "1.5"}]}},
    "Dimensional": {
        "dimensional": {
            "cells": [
                {"match": [{"dimension": "model", "values": ["big", None]}], "price": {"perUnit": {"unitAmount": "3"}}}
            ],
            "otherwise": {"volume": {"tiers": [{"unitAmount": "1"}]}},
        }
    },
    "Flat": {"flat": {"amount": "-5", "term": "IN_ADVANCE"}},
    "Dynamic": {"dynamic": {"multiplier": "1.2"}},
}
CHANGE = """
mutation ($account: String! = "acme", $at: DateTime!, $choice: PlanChoiceInput!) {
  changePlan(account: $account, choice: $choice, effectiveAt: $at) {
    __typename
    ... on ContractDecision { contract { phases { start choice { planKey version overrides { chargeKey } } } } }
    ... on Refusal { code message } ... on EffectiveInPast { what effectiveAt now } ... on PlanUnknown { plan }
    ... on ChargeUnknown { charge charges }
  }
}
"""
SIMPLE = "__typename ... on Refusal { code } ... on ContractDecision { contract { %s } }"


async def test_every_charge_model_is_defined_and_read_back_with_its_conventions(edge: Edge) -> None:
    await define_tokens_meter(edge)
    charges = [charge(name, model, groupBy=["model"]) for name, model in MODELS.items()]
    charges[0] |= {"filters": [{"dimension": "model", "values": ["small", None]}], "proratesIncluded": True}
    charges[0]["price"] |= {
        "conversion": {"operation": "DIVIDE", "factor": "1000", "rounding": "CEIL", "places": 2},
        "includedQuantity": "10",
        "negative": "SIGNED",
        "rounding": "HALF_EVEN",
    }
    told = terms(
        *charges,
        interval="QUARTER",
        intervalCount=2,
        amountMin="10",
        fees=[{"key": "base", "label": "Base", "amount": "49", "term": "IN_ADVANCE", "proration": "DAYS"}],
        discounts=[{"key": "launch", "label": "Launch", "percent": "10"}],
    )
    decision = await define_plan(edge, "pro", told)
    assert decision["__typename"] == "PlanDecision", decision
    assert decision["position"] == await edge.head()
    [version] = (await edge.data(READ_PLAN))["plan"]["versions"]
    shown = version["terms"]
    assert (version["version"], version["validFrom"]) == (1, None)
    assert (shown["interval"], shown["intervalCount"], shown["amountMin"], shown["amountMax"]) == (
        *("QUARTER", 2),
        *("10", None),
    )
    assert shown["fees"] == [{"key": "base", "amount": "49", "term": "IN_ADVANCE", "proration": "DAYS"}]
    assert shown["discounts"] == [{"key": "launch", "percent": "10", "amount": "0"}]
    models = {one["key"]: one["price"]["model"] for one in shown["charges"]}
    assert {key: model["__typename"] for key, model in models.items()} == {name: name for name in MODELS}
    assert models["Graduated"] == {
        "__typename": "Graduated",
        "tiers": [
            {"upTo": "100", "unitAmount": "0.1", "flatAmount": "0", "start": None},
            {"upTo": None, "unitAmount": "0.05", "flatAmount": "0", "start": None},
        ],
        "flatAtZero": True,
        "pastLastTier": "FORBIDDEN",
        "isProrated": False,
    }
    assert models["Dimensional"]["cells"][0]["match"] == [{"dimension": "model", "values": ["big", None]}]
    assert models["Dimensional"]["otherwise"]["__typename"] == "Volume"
    first = shown["charges"][0]
    assert first["price"]["conversion"] == {"operation": "DIVIDE", "factor": "1000", "rounding": "CEIL", "places": 2}
    assert (first["price"]["negative"], first["price"]["rounding"]) == ("SIGNED", "HALF_EVEN")
    assert first["filters"] == [{"dimension": "model", "values": ["small", None]}]
    assert (first["prorates"], first["proratesIncluded"]) == (True, True)


async def test_a_charge_has_exactly_one_model(edge: Edge) -> None:
    await define_tokens_meter(edge)
    both = terms(charge("a", {"perUnit": {"unitAmount": "1"}, "flat": {"amount": "1"}}))
    answer = await edge.graphql(
        'mutation ($t: PlanTermsInput!) { definePlan(plan: "p", terms: $t) { __typename } }', {"t": both}
    )
    assert "data" not in answer or answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "query_invalid"


def tiers(*told: dict[str, Any]) -> dict[str, Any]:
    return terms(charge("a", {"graduated": {"tiers": list(told)}}))


@pytest.mark.parametrize(
    ("told", "typename", "facts"),
    [
        (
            tiers({"upTo": "10", "unitAmount": "1"}, {"upTo": "10", "unitAmount": "1"}, {"unitAmount": "1"}),
            "TiersOverlap",
            {"tier": 2, "previousUpTo": "10"},
        ),
        (
            tiers({"upTo": "10", "unitAmount": "1"}, {"start": "12", "unitAmount": "1"}),
            "TiersGapped",
            {"tier": 2, "start": "12", "gap": "10"},
        ),
        (tiers({"upTo": "10", "unitAmount": "1"}), "LastTierBounded", {"upTo": "10"}),
        (
            terms(charge("a", {"perUnit": {"unitAmount": "-1"}})),
            "PriceNegative",
            {"field": "model.unit_amount", "price": "-1"},
        ),
        (terms(charge("a"), currency="ZZZ"), "CurrencyUnknown", {"currency": "ZZZ"}),
        (
            terms(charge("a", {"perUnit": {"unitAmount": "1" * 39}})),
            "NumberTooLong",
            {"field": "model.unit_amount"},
        ),
        (terms(charge("a", {"perUnit": {"unitAmount": "1e99"}})), "NumberTooLong", {"field": "model.unit_amount"}),
        (terms(charge("a", meter="nothing")), "MeterUnknown", {"meterKey": "nothing"}),
        (terms(charge("a"), charge("a")), "ChargeRepeated", {}),
        (terms(charge("a", groupBy=["region"])), "DimensionUndeclared", {}),
        (terms(intervalCount=0), "DurationInvalid", {}),
        (terms(name=" "), "NameInvalid", {}),
        (terms(discounts=[{"key": "d", "label": "D"}]), "PlanInvalid", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_terms_that_cannot_be_invoiced_are_refused_with_the_facts(
    edge: Edge, told: dict[str, Any], typename: str, facts: dict[str, Any]
) -> None:
    await define_tokens_meter(edge)
    await edge.key("admin")
    head = await edge.head()
    answer = await define_plan(edge, "pro", told)
    assert answer["__typename"] == typename
    assert answer["code"] == "".join("_" + c.lower() if c.isupper() else c for c in typename).strip("_")
    assert {name: answer[name] for name in facts} == facts
    assert await edge.head() == head + 1, "the attempt, and nothing else"


async def test_a_plan_is_revised_and_retired_for_what_comes(edge: Edge) -> None:
    await agree(edge, charge("a"))
    revise = """mutation ($terms: PlanTermsInput!, $from: DateTime!) {
      revisePlan(plan: "pro", terms: $terms, validFrom: $from) {
        __typename ... on PlanDecision { plan { versions { version validFrom } } } ... on Refusal { code }
        ... on EffectiveInPast { what effectiveAt } ... on IntervalMismatch { actual expected } } }"""
    told = terms(charge("a", {"perUnit": {"unitAmount": "2"}}))
    past = await edge.data(revise, {"terms": told, "from": OPENED.isoformat()})
    assert past["revisePlan"] == {
        "__typename": "EffectiveInPast",
        "code": "effective_in_past",
        "what": "version",
        "effectiveAt": "2026-01-01T00:00:00Z",
    }
    done = await edge.data(revise, {"terms": told, "from": LATER.isoformat()})
    assert [one["version"] for one in done["revisePlan"]["plan"]["versions"]] == [1, 2]
    yearly = await edge.data(revise, {"terms": told | {"interval": "YEAR"}, "from": (LATER + timedelta(1)).isoformat()})
    assert yearly["revisePlan"]["__typename"] == "IntervalMismatch"
    retire = 'mutation { retirePlan(plan: "pro") { __typename ... on PlanDecision { plan { retiredAt } } } }'
    assert (await edge.data(retire))["retirePlan"]["plan"]["retiredAt"] is not None
    assert (await edge.data(retire))["retirePlan"]["__typename"] == "PlanRetiredAlready"
    await open_since(edge, "other")
    late = await start_contract(edge, "other", at=LATER.isoformat())
    assert late["__typename"] == "PlanRetiredAlready"


async def test_plans_are_listed_in_pages_and_found_by_their_ids(edge: Edge) -> None:
    await define_tokens_meter(edge)
    for key in ("b", "a", "c"):
        await define_plan(edge, key, terms(charge("x")))
    query = "query ($first: Int, $after: String) { plans(first: $first, after: $after) {"
    query += " totalCount pageInfo { hasNextPage endCursor } edges { node { id key } } } }"
    page = (await edge.data(query, {"first": 2}))["plans"]
    assert ([edge["node"]["key"] for edge in page["edges"]], page["totalCount"]) == (["a", "b"], 3)
    rest = (await edge.data(query, {"first": 2, "after": page["pageInfo"]["endCursor"]}))["plans"]
    assert [edge["node"]["key"] for edge in rest["edges"]] == ["c"]
    again = await edge.data(f'{{ node(id: "{rest["edges"][0]["node"]["id"]}") {{ ... on Plan {{ key }} }} }}')
    assert again["node"] == {"key": "c"}
    assert (await edge.data('{ plan(key: "none") { key } }'))["plan"] is None


async def test_a_contract_needs_an_account_a_plan_and_the_room(edge: Edge) -> None:
    await define_tokens_meter(edge)
    await define_plan(edge, "pro", terms(charge("a")))
    await open_since(edge, "acme", at=OPENED)
    early = await start_contract(edge, at="2025-12-31T23:59:59Z")
    assert {name: early[name] for name in ("__typename", "code", "accountKey", "startedAt", "openedAt")} == {
        "__typename": "ContractBeforeAccount",
        "code": "contract_before_account",
        "accountKey": "acme",
        "startedAt": "2025-12-31T23:59:59Z",
        "openedAt": "2026-01-01T00:00:00Z",
    }
    unknown = await start_contract(edge, plan="gold")
    assert (unknown["code"], unknown["plan"]) == ("plan_unknown", "gold")
    dollars = await start_contract(edge, terms=CALENDAR | {"currency": "USD"})
    assert (dollars["code"], dollars["actual"], dollars["expected"]) == ("currency_mismatch", "EUR", "USD")
    assert (await start_contract(edge, "nobody"))["code"] == "account_unknown"
    assert (await start_contract(edge, at="9000-01-01T00:00:00Z"))["code"] == "argument_invalid"
    started = await start_contract(edge)
    assert started["position"] == await edge.head()
    assert started["contract"]["phases"] == [
        {"start": "2026-01-01T00:00:00Z", "choice": {"planKey": "pro", "version": None}}
    ]
    second = await start_contract(edge, at="2026-02-01T00:00:00Z")
    assert (second["code"], second["since"]) == ("contracts_overlap", "2026-01-01T00:00:00Z")


async def test_a_plan_changes_from_now_on_never_in_the_past(edge: Edge) -> None:
    await agree(edge, charge("a"))
    await define_plan(edge, "max", terms(charge("a", GRADUATED)))
    past = (await edge.data(CHANGE, {"at": OPENED.isoformat(), "choice": {"plan": "max"}}))["changePlan"]
    assert (past["__typename"], past["code"], past["what"]) == ("EffectiveInPast", "effective_in_past", "change")
    assert past["effectiveAt"] == "2026-01-01T00:00:00Z"
    unknown = (await edge.data(CHANGE, {"at": LATER.isoformat(), "choice": {"plan": "gold"}}))["changePlan"]
    assert (unknown["code"], unknown["plan"]) == ("plan_unknown", "gold")
    override = [{"charge": "b", "price": {"model": GRADUATED}}]
    wrong = await edge.data(CHANGE, {"at": LATER.isoformat(), "choice": {"plan": "max", "overrides": override}})
    assert (wrong["changePlan"]["code"], wrong["changePlan"]["charges"]) == ("charge_unknown", "a")
    override[0]["charge"] = "a"
    done = await edge.data(CHANGE, {"at": LATER.isoformat(), "choice": {"plan": "max", "overrides": override}})
    phases = done["changePlan"]["contract"]["phases"]
    assert [one["choice"]["planKey"] for one in phases] == ["pro", "max"]
    assert phases[1]["choice"]["overrides"] == [{"chargeKey": "a"}]


async def test_a_contract_is_paused_resumed_entitled_credited_and_ended(edge: Edge) -> None:
    await agree(edge, charge("a"))
    at, then, end = (f'"{(LATER + timedelta(days)).isoformat()}"' for days in (0, 10, 30))
    grant = (
        '{ grant: "g", label: "Prepaid", amount: { amount: "50", currency: "EUR" }, effectiveAt: "2026-01-01T00:00:00Z"'
    )
    answer = await edge.data(
        f"""mutation {{
          early: resumeContract(account: "acme", effectiveAt: {at}) {{ {SIMPLE % "endedAt"} }}
          pauseContract(account: "acme", effectiveAt: {at}) {{ {SIMPLE % "pauses { start end }"} }}
          resumeContract(account: "acme", effectiveAt: {then}) {{ {SIMPLE % "pauses { end }"} }}
          changeEntitlement(account: "acme", effectiveAt: {at}, entitlement: {{ meter: "tokens", quantity: "9" }})
            {{ {SIMPLE % "entitlements { entitlement { meterKey quantity limit } }"} }}
          grantCredit(account: "acme", grant: {grant} }})
            {{ {SIMPLE % "grants { grant { grantId amount { amount currency } priority } }"} }}
          split: grantCredit(account: "acme", grant: {grant.replace('"50"', '"0.001"')} }}) {{ {SIMPLE % "endedAt"} }}
          endless: grantCredit(account: "acme", grant: {grant.replace('"50"', '"1e60"')} }}) {{ {SIMPLE % "endedAt"} }}
          none: revokeCredit(account: "acme", grant: "x", effectiveAt: {at}) {{ {SIMPLE % "endedAt"} }}
          revokeCredit(account: "acme", grant: "g", effectiveAt: {at}) {{ {SIMPLE % "grants { revokedAt }"} }}
          endContract(account: "acme", effectiveAt: {end}) {{ {SIMPLE % "endedAt"} }}
          again: endContract(account: "acme", effectiveAt: {at}) {{ {SIMPLE % "endedAt"} }}
        }}"""
    )
    codes = {name: one.get("code") for name, one in answer.items() if one.get("code")}
    assert codes == {
        "early": "pause_missing",
        "split": "amount_unrounded",
        "endless": "number_too_long",
        "none": "grant_unknown",
        "again": "contract_ended_already",
    }
    assert answer["resumeContract"]["contract"]["pauses"][0]["end"] is not None
    assert answer["changeEntitlement"]["contract"]["entitlements"] == [
        {"entitlement": {"meterKey": "tokens", "quantity": "9", "limit": "SOFT"}}
    ]
    [granted] = answer["grantCredit"]["contract"]["grants"]
    assert granted["grant"] == {"grantId": "g", "amount": {"amount": "50", "currency": "EUR"}, "priority": 50}
    contracts = await edge.data(
        '{ account(key: "acme") { contracts { startedAt endedAt terms { alignment starts } } } }'
    )
    assert contracts["account"]["contracts"][0]["endedAt"] is not None


async def test_what_was_made_a_moment_ago_by_another_process_is_known(edge: Edge) -> None:
    """Fails without the refresh before each decision."""
    await agree(edge, charge("a"))
    await open_since(edge, "fresh")
    edge.follower.catalogue.accounts.pop("fresh")
    edge.follower.catalogue.names.pop("fresh")
    edge.follower.catalogue.position = 0
    edge.follower.catalogue.contracts.clear()
    edge.follower.catalogue.plans.clear()
    assert (await start_contract(edge, "fresh"))["__typename"] == "ContractDecision"


async def test_roles_decide_who_may_write_plans_and_contracts(edge: Edge) -> None:
    await open_accounts(edge)
    await define_tokens_meter(edge)
    define = 'mutation ($t: PlanTermsInput!) { definePlan(plan: "pro", terms: $t) { __typename } }'
    told = {"t": terms(charge("a"))}
    refused = await edge.data(define, told, key=await edge.key("ops"))
    assert refused["definePlan"]["__typename"] == "Forbidden"
    bound = await edge.data(define, told, key=await edge.key("admin", account="acme"))
    assert bound["definePlan"]["__typename"] == "OutOfScope"
    await edge.data(define, told)
    start = """mutation ($account: String! = "acme") { startContract(account: $account, choice: { plan: "pro" },
      terms: { currency: "EUR" }) { __typename } }"""
    viewer = await edge.data(start, key=await edge.key("viewer"))
    assert viewer["startContract"]["__typename"] == "Forbidden"
    other = await edge.data(start, {"account": "other"}, key=await edge.key("ops", account="acme"))
    assert other["startContract"]["__typename"] == "OutOfScope"
    own = await edge.data(start, key=await edge.key("ops", account="acme"))
    assert own["startContract"]["__typename"] == "ContractDecision"
