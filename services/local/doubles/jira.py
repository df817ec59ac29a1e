"""
A double of Jira Service Management's REST 3: issues with labels, internal comments, components, JQL and change log.

Written from the vendor's pages: https://developer.atlassian.com/cloud/jira/platform/rest/v3/. Only comments posted to
their own resource take properties, and a comment without `sd.public.comment` is public.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp

from services.local.doubles.double import Answer, Asked, Double, Refusal, basic, indexed, utc_now

PROJECT, ISSUE_TYPE = "SUP", "10001"
COMPONENTS = {"10": "Billing", "11": "Support"}
OPTIONS = {"20": "Billing", "21": "Support"}
TEAM = "customfield_10050"
REQUEST_TYPE = "customfield_10010"
PRIORITIES = {"1": "Highest", "2": "High", "3": "Medium", "4": "Low", "5": "Lowest"}
STATUSES = {
    "Waiting for support": "indeterminate", "Waiting for customer": "indeterminate", "Resolved": "done",
    "Closed": "done", "Triage": "new",
}  # fmt: skip
PEOPLE = {
    "pointsman": {"accountId": "pm-1", "displayName": "Pointsman"},
    "bo": {"accountId": "bo-1", "displayName": "Bo"},
    "ana": {"accountId": "ana-1", "displayName": "Ana", "emailAddress": "ana@example.com"},
}
PAGE = 3  # of searches: small, so that a test meets the second


@dataclass
class JiraDouble:
    """`pointsman@example.com` and `bo@example.com` have the token `secret`."""

    clock: Callable[[], datetime] = utc_now
    lag_s: float = 0  # of the search
    issues: dict[str, dict[str, Any]] = field(default_factory=dict)
    comments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def app(self) -> ASGIApp:
        users = {basic(f"{name}@example.com", "secret"): name for name in ("pointsman", "bo")}
        double = Double(users, clock=self.clock, unauthorized=_errors("Client must be authenticated"))
        api = "/rest/api/3"
        return double.build(
            [
                ("GET", f"{api}/serverInfo", lambda asked: {"versionNumbers": [1001, 0, 0], "deploymentType": "Cloud"}),
                ("GET", f"{api}/field", lambda asked: [{"id": TEAM, "name": "Team", "custom": True}]),
                ("GET", f"{api}/user/search", self._find_user),
                ("GET", f"{api}/issue/createmeta/{PROJECT}/issuetypes/{ISSUE_TYPE}", _meta),
                ("GET", f"{api}/search/jql", self._search),
                ("POST", f"{api}/issue", self._create),
                ("GET", f"{api}/issue/{{id}}", lambda asked: self._shown(asked, self._one(asked))),
                ("PUT", f"{api}/issue/{{id}}", self._edit),
                ("DELETE", f"{api}/issue/{{id}}", self._delete),
                ("GET", f"{api}/issue/{{id}}/comment", self._comments),
                ("POST", f"{api}/issue/{{id}}/comment", self._add_comment),
                ("GET", f"{api}/issue/{{id}}/transitions", lambda asked: {"transitions": _transitions()}),
                ("POST", f"{api}/issue/{{id}}/transitions", self._transit),
            ]
        )

    def _one(self, asked: Asked) -> dict[str, Any]:
        wanted = asked.path("id")
        found = [issue for issue in self.issues.values() if wanted in (issue["id"], issue["key"])]
        if not found:
            raise Refusal(404, _errors("Issue does not exist or you do not have permission to see it."))
        return found[0]

    def _shown(self, asked: Asked, issue: dict[str, Any], *, with_log: bool = False) -> dict[str, Any]:
        fields = issue["fields"] | {"comment": {"comments": self.comments[issue["id"]]}}
        log = {"changelog": {"histories": issue["histories"]}} if with_log else {}
        return {"id": issue["id"], "key": issue["key"], "self": self._address(asked, issue), "fields": fields, **log}

    def _address(self, asked: Asked, issue: dict[str, Any]) -> str:
        return f"{asked.request.base_url}rest/api/3/issue/{issue['id']}"

    def _find_user(self, asked: Asked) -> Answer:
        wanted = asked.query("query").lower()
        return [user for user in PEOPLE.values() if wanted in str(user.get("emailAddress", "")).lower()]

    def _search(self, asked: Asked) -> Answer:
        start, now = int(asked.query("nextPageToken", "0")), self.clock()
        rows = indexed(list(self.issues.values()), _updated, now, self.lag_s)
        if label := re.search(r'labels = "([^"]*)"', asked.query("jql")):
            rows = [issue for issue in rows if label[1] in issue["fields"]["labels"]]
        if since := re.search(r'updated >= "([^"]*)"', asked.query("jql")):
            at = datetime.strptime(since[1], "%Y/%m/%d %H:%M").replace(tzinfo=UTC)  # to the minute, as Jira
            rows = [issue for issue in rows if _updated(issue) >= at]
        rows.sort(key=lambda issue: (issue["fields"]["updated"], -int(issue["id"])))  # ties in no order of ours
        shown = [self._shown(asked, issue, with_log="changelog" in asked.query("expand")) for issue in rows]
        more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(rows) else {"isLast": True}
        return {"issues": shown[start : start + PAGE], **more}

    def _create(self, asked: Asked) -> Answer:
        given = asked.body.get("fields", {})
        if given.get("project", {}).get("key") != PROJECT or not given.get("summary"):
            raise Refusal(400, {"errorMessages": [], "errors": {"summary": "You must specify a summary of the issue."}})
        number, at = str(10_000 + len(self.issues)), self._now()
        fields = {
            "summary": "", "description": None, "labels": [], "components": [], TEAM: None, "assignee": None,
            "priority": {"id": "3", "name": "Medium"}, "status": _status("Waiting for support"),
            "reporter": PEOPLE[asked.user], "creator": PEOPLE[asked.user], "created": at, "updated": at,
        }  # fmt: skip
        self.issues[number] = {
            "id": number,
            "key": f"{PROJECT}-{len(self.issues) + 1}",
            "fields": fields,
            "histories": [],
        }
        self.comments[number] = []
        try:
            self._set(fields, {name: value for name, value in given.items() if name not in ("project", "issuetype")})
        except Refusal:
            del self.issues[number]
            raise
        made = self.issues[number]
        return 201, {"id": number, "key": made["key"], "self": self._address(asked, made)}

    def _edit(self, asked: Asked) -> Answer:
        issue, given = self._one(asked), asked.body
        self._set(issue["fields"], given.get("fields", {}))
        for change in given.get("update", {}).get("labels", []):
            if change.get("add") not in issue["fields"]["labels"]:
                issue["fields"]["labels"] = [*issue["fields"]["labels"], change["add"]]
        self._touch(issue, asked)
        return 204, None

    def _set(self, fields: dict[str, Any], given: dict[str, Any]) -> None:
        for name, value in given.items():
            if name not in SETTERS:
                raise Refusal(400, {"errorMessages": [], "errors": {name: "Field cannot be set. It is unknown."}})
            fields[name] = SETTERS[name](value)

    def _delete(self, asked: Asked) -> Answer:
        del self.issues[self._one(asked)["id"]]
        return 204, None

    def _comments(self, asked: Asked) -> Answer:
        start = int(asked.query("startAt", "0"))
        rows = self.comments[self._one(asked)["id"]]
        page = rows[start : start + int(asked.query("maxResults", "50"))]
        hidden = () if "properties" in asked.query("expand") else ("properties",)
        shown = [{name: value for name, value in row.items() if name not in hidden} for row in page]
        return {"startAt": start, "total": len(rows), "comments": shown}

    def _add_comment(self, asked: Asked) -> Answer:
        issue, properties = self._one(asked), asked.body.get("properties", [])
        if not isinstance(asked.body.get("body"), dict):
            raise Refusal(400, {"errorMessages": ["Comment body is not valid!"], "errors": {}})
        is_internal = {"key": "sd.public.comment", "value": {"internal": True}} in properties
        row = {
            "self": f"{asked.request.url}/{len(self.comments[issue['id']]) + 1}",
            "id": str(len(self.comments[issue["id"]]) + 1), "author": PEOPLE[asked.user], "body": asked.body["body"],
            "created": self._now(), "jsdPublic": not is_internal, "properties": properties,
        }  # fmt: skip
        self.comments[issue["id"]].append(row)
        issue["fields"]["updated"] = row["created"]  # a comment leaves no entry in the change log
        return 201, row

    def _transit(self, asked: Asked) -> Answer:
        issue, wanted = self._one(asked), asked.body["transition"]["id"]
        issue["fields"]["status"] = _status(list(STATUSES)[int(wanted)])
        self._touch(issue, asked)
        return 204, None

    def _touch(self, issue: dict[str, Any], asked: Asked) -> None:
        issue["fields"]["updated"] = self._now()
        issue["histories"].append({"author": PEOPLE[asked.user], "created": issue["fields"]["updated"], "items": []})

    def _now(self) -> str:
        return f"{self.clock():%Y-%m-%dT%H:%M:%S}.{self.clock().microsecond // 1000:03}+0000"


def _meta(asked: Asked) -> Answer:
    fields = [
        {"fieldId": "summary", "name": "Summary"},
        {"fieldId": "components", "allowedValues": [{"id": i, "name": name} for i, name in COMPONENTS.items()]},
        {"fieldId": TEAM, "allowedValues": [{"id": number, "value": name} for number, name in OPTIONS.items()]},
    ]
    return {"startAt": 0, "total": len(fields), "fields": fields}


def _option(name: str, given: dict[str, Any], known: dict[str, str], key: str) -> dict[str, str]:
    if given.get("id") not in known:
        raise Refusal(400, {"errorMessages": [], "errors": {name: f"Option id {given.get('id')!r} is not valid"}})
    return {"id": given["id"], key: known[given["id"]]}


def _document(value: Any) -> dict[str, Any]:
    if not (isinstance(value, dict) and value.get("type") == "doc"):
        raise Refusal(400, {"errorMessages": [], "errors": {"description": "Operation value must be a document"}})
    return value


SETTERS: dict[str, Callable[[Any], Any]] = {
    "components": lambda value: [_option("components", one, COMPONENTS, "name") for one in value],
    TEAM: lambda value: _option(TEAM, value, OPTIONS, "value"),
    "priority": lambda value: {"id": {name: i for i, name in PRIORITIES.items()}[value["name"]], "name": value["name"]},
    "reporter": lambda value: next(user for user in PEOPLE.values() if user["accountId"] == value["id"]),
    "description": _document,
} | dict.fromkeys(("summary", "labels", REQUEST_TYPE), lambda value: value)


def _status(name: str) -> dict[str, Any]:
    return {"name": name, "statusCategory": {"key": STATUSES[name]}}


def _transitions() -> list[dict[str, Any]]:
    return [{"id": str(number), "name": name, "to": _status(name)} for number, name in enumerate(STATUSES)]


def _errors(message: str) -> dict[str, Any]:
    return {"errorMessages": [message], "errors": {}}


def _updated(issue: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(issue["fields"]["updated"])
