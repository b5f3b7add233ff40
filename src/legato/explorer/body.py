"""A request's body, counted while it arrives."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from legato.errors import Mistake


async def read(request: Request, most: int) -> bytes:
    """The body, of at most so many bytes, counted while it arrives: a header may lie. Raises `Mistake` for more."""
    # Parts and one join: adding to bytes would copy all that is there for each part.
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise Mistake(f"the body is larger than {most:,} bytes")
            parts.append(part)
    except ClientDisconnect:
        # Not a failure of ours: it is told to nobody and must not look like one in the log.
        raise Mistake("the page went away before its question was whole") from None
    return b"".join(parts)
