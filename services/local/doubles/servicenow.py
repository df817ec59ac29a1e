"""
A double of ServiceNow's Table API: incidents with their journal, groups, callers, encoded queries, OAuth.

Written from the vendor's pages, https://www.servicenow.com/docs/ (Table API; encoded query strings).
It is as silent as the vendor: an unknown field or reference is dropped, and a closed incident is read-only.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from services.local.doubles.double import Answer, Asked, Double, Refusal, basic, bearer, utc_now

GROUPS = {"a" * 32: "Billing", "b" * 32: "Support", "c" * 31 + "1": "Twin", "c" * 31 + "2": "Twin"}
USERS = {"d" * 32: {"name": "Ana Costa", "email": "ana@example.com"}}
STATES = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
# Impact by urgency, as ServiceNow delivers its priority lookup.
MATRIX = {"11": "1", "12": "2", "21": "2", "13": "3", "22": "3", "31": "3", "23": "4", "32": "4", "33": "5"}
PRIORITIES = {"1": "1 - Critical", "2": "2 - High", "3": "3 - Moderate", "4": "4 - Low", "5": "5 - Planning"}
WRITABLE = {
    "short_description", "description", "category", "impact", "urgency", "assignment_group", "assigned_to", "caller_id",
    "state", "correlation_id",
}  # fmt: skip
JOURNALS = ("comments", "work_notes")
OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    ">=": lambda is_, wanted: is_ >= wanted,
    "LIKE": lambda is_, wanted: wanted.lower() in is_.lower(),
    "IN": lambda is_, wanted: is_ in wanted.split(","),
    "=": lambda is_, wanted: is_ == wanted,
    ">": lambda is_, wanted: is_ > wanted,
}
CONDITION = re.compile(r"([a-z_.]+?)(>=|LIKE|IN|=|>)(.*)", re.DOTALL)


@dataclass
class ServiceNowDouble:
    """`pointsman` signs in with a password or a token, `bo` is an agent."""

    clock: Callable[[], datetime] = utc_now
    incidents: dict[str, dict[str, str]] = field(default_factory=dict)
    journal: list[dict[str, str]] = field(default_factory=list)
    users: dict[str, str] = field(
        default_factory=lambda: {basic("pointsman", "secret"): "pointsman", basic("bo", "secret"): "bo"}
    )

    def app(self) -> ASGIApp:
        double = Double(
            self.users,
            clock=self.clock,
            unauthorized={"error": {"message": "User Not Authenticated", "detail": "Required"}, "status": "failure"},
            too_many={"error": {"message": "Rate limit exceeded", "detail": None}, "status": "failure"},
        )
        table = "/api/now/table"
        return double.build(
            [
                ("GET", f"{table}/incident", lambda asked: self._list(asked, list(self.incidents.values()))),
                ("POST", f"{table}/incident", self._create),
                ("GET", f"{table}/incident/{{id}}", lambda asked: self._result(asked, self._one(asked))),
                ("PATCH", f"{table}/incident/{{id}}", self._update),
                ("PUT", f"{table}/incident/{{id}}", self._update),
                ("DELETE", f"{table}/incident/{{id}}", self._delete),
                ("GET", f"{table}/sys_journal_field", lambda asked: self._list(asked, self.journal)),
                ("GET", f"{table}/sys_user_group", lambda asked: self._list(asked, _groups())),
                ("GET", f"{table}/sys_user", lambda asked: self._list(asked, _people())),
            ],
            public=[("POST", "/oauth_token.do", self._token)],
        )

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        given = (form.get("grant_type"), form.get("client_id"), form.get("client_secret"))
        if given != ("client_credentials", "app", "app-secret"):
            return JSONResponse({"error": "access_denied", "error_description": "access_denied"}, 401)
        token = secrets.token_urlsafe(8)
        self.users[bearer(token)] = "pointsman"
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 1799, "scope": "useraccount"})

    def forget_tokens(self) -> None:
        """They are revoked."""
        for header in [header for header in self.users if header.startswith("Bearer")]:
            del self.users[header]

    def _list(self, asked: Asked, rows: list[dict[str, str]]) -> Answer:
        found = selected(rows, asked.query("sysparm_query"))
        start, limit = int(asked.query("sysparm_offset", "0")), int(asked.query("sysparm_limit", "10000"))
        page = [_shown(row, asked) for row in found[start : start + limit]]
        return JSONResponse({"result": page}, headers={"x-total-count": str(len(found))})

    def _one(self, asked: Asked) -> dict[str, str]:
        if asked.path("id") not in self.incidents:
            said = {
                "message": "No Record found",
                "detail": "Record doesn't exist or ACL restricts the record retrieval",
            }
            raise Refusal(404, {"error": said, "status": "failure"})
        return self.incidents[asked.path("id")]

    def _result(self, asked: Asked, row: dict[str, str]) -> Answer:
        return {"result": _shown(row, asked)}

    def _create(self, asked: Asked) -> Answer:
        sys_id, at = secrets.token_hex(16), self._now()
        blank = dict.fromkeys((*WRITABLE, *JOURNALS), "") | {
            "state": "1",
            "impact": "3",
            "urgency": "3",
            "priority": "5",
        }
        counted = {"sys_id": sys_id, "number": f"INC{len(self.incidents) + 1:07}", "sys_created_on": at}
        self.incidents[sys_id] = blank | counted | {"sys_created_by": asked.user, "sys_mod_count": "-1"}
        return 201, {"result": _shown(self._write(sys_id, asked), asked)}

    def _update(self, asked: Asked) -> Answer:
        if self._one(asked)["state"] in ("7", "8") and asked.user != "admin":
            said = {"message": "Operation Failed", "detail": "ACL Exception Update Failed due to security constraints"}
            raise Refusal(403, {"error": said, "status": "failure"})
        return self._result(asked, self._write(asked.path("id"), asked))

    def _delete(self, asked: Asked) -> Answer:
        self._one(asked)
        del self.incidents[asked.path("id")]
        return Response(status_code=204)

    def _write(self, sys_id: str, asked: Asked) -> dict[str, str]:
        row, at = self.incidents[sys_id], self._now()
        for name in WRITABLE & set(asked.body):
            value = str(asked.body[name])
            is_known = {"assignment_group": GROUPS, "caller_id": USERS}.get(name)
            row[name] = value if is_known is None or value in is_known else ""
        for name in JOURNALS:
            if asked.body.get(name):
                entry = {"element_id": sys_id, "element": name, "value": str(asked.body[name])}
                self.journal.append(entry | {"sys_created_by": asked.user, "sys_created_on": at})
        row["priority"] = MATRIX.get(row["impact"] + row["urgency"], "5")
        row |= {"sys_updated_on": at, "sys_updated_by": asked.user, "sys_mod_count": str(int(row["sys_mod_count"]) + 1)}
        return row

    def _now(self) -> str:
        return f"{self.clock():%Y-%m-%d %H:%M:%S}"


def selected(rows: list[dict[str, str]], query: str) -> list[dict[str, str]]:
    """What an encoded query gives: conditions joined by ^, then ORDERBY."""
    found = list(rows)
    parts = [part for part in query.split("^") if part]
    for part in parts:
        if not part.startswith("ORDERBY") and (condition := CONDITION.fullmatch(part)):
            name, operator, wanted = condition.groups()
            found = [row for row in found if OPERATORS[operator](row.get(name, ""), wanted)]
    for part in reversed([part for part in parts if part.startswith("ORDERBY")]):
        name = part.removeprefix("ORDERBYDESC").removeprefix("ORDERBY")
        found.sort(key=lambda row: row.get(name, ""), reverse=part.startswith("ORDERBYDESC"))
    return found


def _shown(row: Mapping[str, str], asked: Asked) -> dict[str, Any]:
    names = [name for name in asked.query("sysparm_fields").split(",") if name] or list(row)
    how = asked.query("sysparm_display_value", "false")
    if how == "all":
        return {name: {"value": _value(row, name), "display_value": _display(row, name)} for name in names}
    read = _display if how == "true" else _value
    return {name: read(row, name) for name in names}


def _value(row: Mapping[str, str], name: str) -> str:
    reference, _, below = name.partition(".")
    return USERS.get(row.get(reference, ""), {}).get(below, "") if below else row.get(name, "")


def _display(row: Mapping[str, str], name: str) -> str:
    value = _value(row, name)
    people = {sys_id: user["name"] for sys_id, user in USERS.items()}
    names = {"assignment_group": GROUPS, "caller_id": people, "state": STATES, "priority": PRIORITIES}
    return names.get(name, {}).get(value, value)


def _groups() -> list[dict[str, str]]:
    return [{"sys_id": sys_id, "name": name, "active": "true"} for sys_id, name in GROUPS.items()]


def _people() -> list[dict[str, str]]:
    return [{"sys_id": sys_id, "active": "true", **user} for sys_id, user in USERS.items()]
