"""The console's pages: tickets, one ticket, the review queue."""

from fastapi import APIRouter

router = APIRouter(include_in_schema=False)
