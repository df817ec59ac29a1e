"""The API's documentation, from files of ours: nothing is loaded from elsewhere."""

from fastapi import APIRouter, Request, Response

from services.gateway.pages import render

router = APIRouter(include_in_schema=False)

# Swagger UI draws its icons from data: addresses in its style sheet.
CONTENT_SECURITY_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"


@router.get("/docs")
async def show_docs(request: Request) -> Response:
    answer = render(request, "docs.html", {"openapi_url": request.app.openapi_url})
    answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return answer
