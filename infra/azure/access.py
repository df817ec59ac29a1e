"""Role assignments. Built-in roles only, each at the narrowest scope Azure knows: a container, a topic, an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pulumi import Input, Output, Resource
from pulumi_azure_native import authorization, managedidentity

from infra import wait
from infra.azure.foundation import AzureFoundation
from infra.capabilities import Scope

_SPREAD_S = 180  # "up to 10 minutes", learn.microsoft.com/azure/role-based-access-control/troubleshooting; often one


class Role(StrEnum):
    """Ids of built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles (2026-11)."""

    ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    ACR_PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"
    AKS_CLUSTER_USER = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"
    AKS_READER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db"
    AKS_WRITER = "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb"
    BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
    DNS_CONTRIBUTOR = "befefa01-2a29-4197-83a8-272ff33ce314"
    BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    KEY_CONTRIBUTOR = "f25e0fa2-a7c8-4377-a976-54943a77a395"
    KEY_CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"
    KEY_ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
    METRICS_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
    NETWORK_CONTRIBUTOR = "4d97b98b-1d4f-4787-a291-c67834d212e7"
    OPENAI_USER = "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd"
    POSTGRES_BACKUP = "c088a766-074b-43ba-90d4-1fb21feae531"
    READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
    SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
    SERVICE_BUS_RECEIVER = "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0"
    SERVICE_BUS_SENDER = "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39"
    STORAGE_BACKUP = "e5e2a7ff-d759-4cd2-bb51-3152d37e2eb1"


@dataclass(frozen=True)
class Principal:
    """Who is let in: `id` and `name` are Entra's."""

    label: str
    id: Input[str]
    name: Input[str]
    kind: authorization.PrincipalType = authorization.PrincipalType.SERVICE_PRINCIPAL


def identity(scope: Scope, foundation: AzureFoundation, label: str) -> managedidentity.UserAssignedIdentity:
    name = scope.name(label)
    return managedidentity.UserAssignedIdentity(
        name, resource_group_name=foundation.group, resource_name_=name, opts=scope.own()
    )


_SERVICE = authorization.PrincipalType.SERVICE_PRINCIPAL


def assign(
    scope: Scope,
    foundation: AzureFoundation,
    label: str,
    role: Role,
    *,
    to: Input[str],
    at: Input[str],
    kind: authorization.PrincipalType = _SERVICE,
):
    """`to` is a principal id; the type is stated, so a new identity works before Entra has replicated it."""
    return authorization.RoleAssignment(
        scope.name(label),
        principal_id=to,
        principal_type=kind,
        role_definition_id=role_id(foundation, role),
        scope=at,
        opts=scope.own(),
    )


def settled(scope: Scope, label: str, assignments: Sequence[Resource]) -> list[Resource]:
    """What to depend on, where something acts under these assignments as soon as it is made."""
    return [wait.after(scope.name(label), assignments, _SPREAD_S, scope.own())]


def role_id(foundation: AzureFoundation, role: Role) -> Output[str]:
    path = f"/providers/Microsoft.Authorization/roleDefinitions/{role.value}"
    return Output.concat("/subscriptions/", foundation.subscription, path)
