"""
The inputs of a type that decide on encryption, TLS, way in, firewall and login, read out of the installed SDK: its
record must speak of each (infra/kinds). A switch beside the key that nobody mentions turns at rest what the key
promised.
"""

import collections.abc as cabc
import enum
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from pulumi import _types

from infra.kinds import QUESTIONS, Service, kinds
from infra.kinds.roles import roles
from infra.offline.schema_check import members
from infra.offline.sdk import args_class, input_fields

_DEPTH = 1  # `properties.disableLocalAuth`; what lies deeper belongs to machines and sidecars
_NAMES = re.compile(
    r"encrypt|key_?source|tls|ssl|https|auth(?!or(?!iz))|password|shared_?key|anonymous|local_?account|admin_?user|insecure|user_?group"
    r"|public_?(access|network|ly|ip$)",
    re.IGNORECASE,
)
# AWS: without them it stands in the account's default network, behind the default's group.
_WALLS = re.compile(r"(security_?groups?(_?ids|_?names)?|subnet_?ids?|subnets|subnet_?group_?name)$", re.IGNORECASE)
_NAMES_ANOTHER = re.compile(r"(Ids?|Names?|Groups?|subnets)$")  # set or not: whom it names is no choice of ours
_AWAY = re.compile(r"^(psc[A-Z]|desired\w*(Connections|Endpoints)$|authorizedNetwork$|privateNetwork$|connectMode$)")
_VALUES = re.compile(r"plain|encrypt|tls|ssl|prefer", re.IGNORECASE)  # an enumeration's words, whatever its name
_TEXTS = re.compile(r"(mode|access|auth\w*|version|password(wo)?|type|state|status|prevention|ids?)$", re.IGNORECASE)
_PLACES = ("location", "region", "zone")
_TAGS = ("userLabels", "resourceLabels", "labels", "tags")
_LANDS = re.compile(r"^(subnetworks?|reservedPeeringRanges)$")
_SIGNS_IN = re.compile(r"^(no_?)?passwords?|^authenticationMode$", re.IGNORECASE)
_KEEPS = re.compile(r"^(enableD|d)eletionProtection(Enabled)?$|^enablePurgeProtection$")
_NAMES_A_USER = re.compile(r"^user(Id|Name)$")
_COUNTS = re.compile(
    r"^(num\w*(Clusters|Nodes|Groups|Shards|Shard|Replicas)|replicas\w+|\w*(node|replica|shard|instance)Count"
    r"|capacity|highAvailability)$"
)
_HOLDS = re.compile("identity", re.IGNORECASE)
_WEAK = re.compile(r"prefer|optional|plain|allow|disabled|none|unspecified|1[._]?[01]$", re.IGNORECASE)


def silences(cloud: str, type_: str, service: Service) -> list[str]:
    """What a record of `type_` leaves open: one line each, with what to write where."""
    switches = switches_of(type_)
    said = {path for path, _ in service.asked} | set(service.unasked)
    where = f"infra/kinds/{cloud}.yaml: {type_}"
    return [
        *(
            f"{where} says nothing of {path}: ask for it (`at`, `also`), or say in `unasked` why not"
            for path in switches
            if path not in said
        ),
        *(
            f"{where}: {path} is a switch: say which values it may have (`is`)"
            for path, ok in service.asked
            if path in switches and not ok and not _NAMES_ANOTHER.search(path)
        ),
        *(
            f"{where}.key: {path} says who may use the key: ask for it (`also`), or say in `unasked` why not"
            for path in _key_holders(type_, service)
            if not any(f"{told}.".startswith(f"{path}.") for told in said)
        ),
        *(f"{where}.private stands behind an endpoint: {_LINK}" for _ in _unlinked(type_, service)),
        *(
            f"infra/kinds/roles.yaml: users: {type_} is named by {path} as well; say it in `names`"
            for path in _names_of_a_user(type_)
            if path not in _user_names(cloud, type_)
        ),
        *(
            f"{where}.hourly: {path} says how many machines it is: name it in `times`, or "
            "price it by a rule in cost/rules instead of `hourly`"
            for path in _machines(type_, service)
        ),
        *(f"{where}.tls: {path} may be {value!r}, which lets in who speaks none" for path, value in _weak(service)),
        *(f"{where} lives in Google's own network: say in `way` how ours reaches it" for _ in _far(type_, service)),
        *(
            f"{where}.way: {path} of {through} says where it lands; add it to `where`"
            for through, path in _lands(service)
        ),
        *(f"{where}.tags: it takes them as {path}; ask for it (`at`)" for path in _untagged(type_, service)),
        *(
            f"{where} can refuse to be deleted: name {path} in `kept`, or say in `unasked` why not"
            for path in _kept(type_)
            if path not in {*service.kept, *service.unasked}
        ),
    ]


_LINK = "name its part and its zone (`link`), or say why it needs none (`endpoint`)"


def _unlinked(type_: str, service: Service) -> list[str]:
    """Azure: what is shut, and has no record of the zone in which its name means its private address."""
    claim = service.private
    return [claim.at] if type_.startswith("azure") and claim.at and not claim.endpoint and claim.link is None else []


def _names_of_a_user(type_: str) -> list[str]:
    """Where one user has two names, a log-in may want them equal: nobody is let in, and nobody says why."""
    cls = args_class(type_) if type_.startswith("aws:") else None
    return [name for name in (input_fields(cls) if cls else ()) if _NAMES_A_USER.search(name)]


def _user_names(cloud: str, type_: str) -> tuple[str, ...]:
    return tuple(name for one in roles(cloud).users.values() if one.made_by == type_ for name in one.names)


def _machines(type_: str, service: Service) -> list[str]:
    """Inputs that make several machines of one resource, where one price is said and nobody multiplies it."""
    cls = args_class(type_) if service.hourly else None
    found = [path for path in _paths(cls, "", 1) if _COUNTS.search(_last(path))] if cls else []
    return [path for path in found if service.hourly and path not in service.hourly.times]


def mere_settings(cloud: str, types: Iterable[str]) -> list[str]:
    """Types of a plan recorded as settings by which somebody signs in: a user without a password is a door."""
    found = {type_: signs_in(type_) for type_ in set(types) & set(kinds(cloud).settings)}
    return [
        f"infra/kinds/{cloud}.yaml: {type_} signs somebody in ({path}): it is no setting; record it among the services"
        for type_, path in sorted(found.items())
        if path
    ]


def signs_in(type_: str) -> str:
    """The input that says by what, or nothing."""
    cls = args_class(type_)
    return next((name for name in (input_fields(cls) if cls else ()) if _SIGNS_IN.search(name)), "")


@cache
def switches_of(type_: str) -> tuple[str, ...]:
    """Sorted paths; none of a type that the SDKs do not have."""
    cls = args_class(type_)
    own = type_.rpartition(":")[2]
    own_id = f"{own[:1].lower()}{own[1:]}Id"  # userGroupId of a UserGroup is what it is called
    found = sorted(set(_switches(cls, "", _DEPTH)) - {own_id}) if cls else []
    return tuple(path for path in found if type_.startswith("aws:") or not _WALLS.search(path))


def placeless(cloud: str, type_: str, service: Service, inputs: Mapping[str, Any]) -> str:
    """The input that would say where Google keeps it, and does not; elsewhere provider or group say it for all."""
    cls = args_class(type_)
    known = [name for name in _PLACES if cls and name in input_fields(cls)] if cloud == "gcp" else []
    is_said = any(inputs.get(name) for name in known) or set(known) & set(service.unasked)
    return "" if is_said or not known else known[0]


def unknown_inputs(type_: str, service: Service) -> tuple[str, ...]:
    """Inputs that the record names and the type does not have: they would read as "not set"."""
    known = input_fields(args_class(type_))
    spoken = {*(path for path, _ in service.asked), *service.unasked, *service.kept}
    spoken |= {claim.when.at for claim in map(service.claim, QUESTIONS) if claim.when}
    return tuple(sorted(path for path in spoken if path.split(".")[0] not in known))


def _far(type_: str, service: Service) -> list[str]:
    """The input by which a type of Google's is joined to our network, where no record says through what."""
    cls = args_class(type_)
    if type_ in {s.way.through for s in kinds("gcp").services.values() if s.way}:
        return []  # it is the way
    found = [path for path in _paths(cls, "", 2) if _AWAY.search(_last(path))] if cls and service.way is None else []
    return found[:1] if type_.startswith("gcp:") else []


def _lands(service: Service) -> list[tuple[str, str]]:
    """The inputs by which what leads to a service is given addresses of ours."""
    through = service.way.through if service.way else ""
    cls = args_class(through) if through else None
    paths = [path for path in _paths(cls, "", 1) if _LANDS.search(_last(path))] if cls else []
    return [(through, path) for path in paths if service.way and path not in service.way.where]


def _untagged(type_: str, service: Service) -> list[str]:
    """Where a type takes tags and its record claims that it carries none."""
    cls = args_class(type_)
    known = input_fields(cls) if cls and service.tags.none and not service.unasked.get("tags") else {}
    return [name for name in _TAGS if name in known and any(_is_map(m) for m in members(known[name][0]))][:1]


def _is_map(option: Any) -> bool:
    return typing.get_origin(option) in (dict, cabc.Mapping)


def _kept(type_: str) -> list[str]:
    cls = args_class(type_)
    return [path for path in _paths(cls, "", 2) if _KEEPS.search(_last(path))] if cls else []


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _key_holders(type_: str, service: Service) -> list[str]:
    """Inputs beside the key that name an identity: Azure's services take no key without one."""
    cls, path = args_class(type_), service.key.at.split(".")
    around = _around(cls, path) if cls else ()
    return [at + name for at, inner in around for name in input_fields(inner) if _HOLDS.search(name)]


def _around(cls: type, path: list[str], prefix: str = "") -> Iterator[tuple[str, type]]:
    """The objects in which an input stands, less the outermost: whom a resource carries, IAM-009 asks."""
    head, *rest = path
    tp = input_fields(cls).get(head, (None,))[0]
    at, rest = (f"{prefix}{head}.{rest[0]}.", rest[1:]) if rest[:1] == ["0"] else (f"{prefix}{head}.", rest)
    for inner in _objects(tp) if rest else ():
        yield at, inner
        yield from _around(inner, rest, at)


def _objects(tp: Any) -> list[type]:
    """Of an input, or of each item of a list."""
    options = members(tp)
    options += [item for o in options if typing.get_origin(o) for a in typing.get_args(o) for item in members(a)]
    return [m for m in options if isinstance(m, type) and _types.is_input_type(m)]


def _paths(cls: type, prefix: str, depth: int) -> Iterator[str]:
    for name, (tp, _) in input_fields(cls).items():
        yield prefix + name
        for inner in members(tp) if depth else ():
            if isinstance(inner, type) and _types.is_input_type(inner):
                yield from _paths(inner, f"{prefix}{name}.", depth - 1)


def _weak(service: Service) -> Iterator[tuple[str, Any]]:
    for path, allowed in service.tls.inputs:
        yield from ((path, value) for value in allowed if isinstance(value, str) and _WEAK.search(value))


def _switches(cls: type, prefix: str, depth: int) -> Iterator[str]:
    for name, (tp, _) in input_fields(cls).items():
        options = members(tp)
        objects = [m for m in options if isinstance(m, type) and _types.is_input_type(m)]
        if objects and depth:
            for inner in objects:
                yield from _switches(inner, f"{prefix}{name}.", depth - 1)
        elif _is_switch(name, options):
            yield prefix + name


def _is_switch(name: str, options: list[Any]) -> bool:
    enums = [m for m in options if isinstance(m, type) and issubclass(m, enum.Enum)]
    if any(_VALUES.search(str(word.value)) for one in enums for word in one) or _WALLS.search(name):
        return True
    told = bool in options or enums or (_takes_text(options) and _TEXTS.search(name))
    return bool(told and _NAMES.search(name))


def _takes_text(options: list[Any]) -> bool:
    return str in options or any(str in members(a) for o in options for a in typing.get_args(o))
