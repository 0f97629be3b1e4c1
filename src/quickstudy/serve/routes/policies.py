"""Routes of policies: they act, and learn from the episodes that a client played with them."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from quickstudy.serve.bodies import Carried, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.openapi import ASKS, operation
from quickstudy.serve.policies import actions, adapted
from quickstudy.serve.routes.names import POLICIES, POLICY, PolicyId
from quickstudy.serve.schema.policies import (
    ActBody,
    Acted,
    AdaptPolicyBody,
    Policies,
    PolicyAdapted,
    PolicyCard,
)

router = APIRouter(tags=["policies"])


@router.get(POLICIES, **operation(Policies, problems=(401, 403, 429, 503)))
def list_policies(request: Request) -> Response:
    """The policies that are served."""
    served = Call(request).server.policies.served
    return reply(Policies(policies=[each.card() for each in served.values()]))


@router.get(POLICY, **operation(PolicyCard))
def get_policy(request: Request, policy: PolicyId) -> Response:
    """A policy."""
    return reply(Call(request).server.policies.policy(policy).card())


@router.post(POLICY + ":act", **operation(Acted, problems=ASKS, body=ActBody))
def act(request: Request, policy: PolicyId, carried: Carried) -> Response:
    """Say what a policy does at some observations; actions are drawn, as in meta-training."""
    call = Call(request, ("predict",))
    policies = call.server.policies
    served = policies.policy(policy)
    sent = body(ActBody, carried)
    known = policies.get(call.tenant, served, sent.version)
    chosen = actions(call.tasks.gate, known.policy, sent)
    return reply(
        Acted(version=known.version, mode="greedy" if sent.greedy else "drawn", actions=chosen)
    )


@router.post(POLICY + ":adapt", **operation(PolicyAdapted, problems=ASKS, body=AdaptPolicyBody))
def adapt_policy(request: Request, policy: PolicyId, carried: Carried) -> Response:
    """Learn from episodes that a policy played, and name the policy that comes of it.

    It is kept in memory alone. The same episodes give the same version again.
    """
    call = Call(request, ("adapt",))
    policies = call.server.policies
    served = policies.policy(policy)
    sent = body(AdaptPolicyBody, carried)
    known = policies.get(call.tenant, served, sent.version)
    better, returns = adapted(call.tasks.gate, known, sent.rounds)
    policies.put(call.tenant, served, better)
    return reply(
        PolicyAdapted(
            version=better.version,
            n_updates=better.n_updates,
            n_episodes=better.n_episodes,
            returns=returns,
        )
    )
