"""One page's socket: the newest question of each kind is answered, what it replaced is dropped, and nobody else waits.

Covered: floods, garbage, pages that go away in the middle. Not covered: the bytes (frames.py), decoding (session.py).
"""

from __future__ import annotations

import asyncio
import logging

from starlette.websockets import WebSocket, WebSocketDisconnect

from legato.errors import Mistake
from legato.explorer.frames import Answered, CursorRequest, Malformed, Picture
from legato.explorer.session import Session
from legato.explorer.worker import CURSOR, Worker

GARBAGE, BROKEN = 1007, 1011  # codes of RFC 6455: 1007 for what is no frame, 1011 for an error of ours; a page tells them apart
Kind = tuple[int, int]  # op, model: of each one question is answered and one waits


class Drag:
    """A socket from its first frame to its last. For each (op, model) one question is being answered and one waits."""

    def __init__(self, socket: WebSocket, session: Session, worker: Worker) -> None:
        self.socket, self.session, self.worker = socket, session, worker
        self._waiting: dict[Kind, CursorRequest] = {}
        self._busy: dict[Kind, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Answers until the page goes away or sends what is no frame."""
        await self.socket.accept()
        try:
            while (frame := await self._frame()) is not None:
                self._take(CursorRequest.read(frame))
        except Malformed as error:
            await self._close(GARBAGE, str(error))
        # What is asked by a page that has gone is decoded for nobody.
        finally:
            for task in self._busy.values():
                task.cancel()

    async def _frame(self) -> bytes | None:
        """The next frame; None where the page is gone."""
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        frame = message.get("bytes")
        if frame is None:
            raise Malformed("a frame is binary, this is text")
        return bytes(frame)  # bytes, whatever kind of buffer the library gives

    def _take(self, request: CursorRequest) -> None:
        if not 0 <= request.model < len(self.session.members):
            raise Malformed(f"there is no model {request.model}")
        kind = (request.op, request.model)
        # In place of the one that waited: a hand has moved on, and a place that it left is decoded for nobody.
        self._waiting[kind] = request
        if kind not in self._busy or self._busy[kind].done():
            self._busy[kind] = asyncio.create_task(self._answer(kind))

    async def _answer(self, kind: Kind) -> None:
        # Until none waits: a question that came while the last one was decoded has no other to answer it.
        """Answers the newest question of a kind, until none waits."""
        try:
            while (request := self._waiting.pop(kind, None)) is not None:
                picture = await self._picture(request)
                await self.socket.send_bytes(Answered(request.seq, request.op, request.model, picture).pack())
        except (WebSocketDisconnect, RuntimeError, OSError):
            return  # the page went away between its question and our answer
        # Whatever it was, the page is told and the log has it: a task that dies silently looks like a model that hangs.
        except Exception:
            logging.getLogger(__name__).exception("a question of the socket failed")
            await self._close(BROKEN, "an error of Legato's own: the terminal tells it")

    async def _picture(self, request: CursorRequest) -> Picture:
        try:
            return await asyncio.wrap_future(self.worker.submit(CURSOR, lambda: self.session.cursor(request)))
        except Mistake as mistake:
            return Picture.error(str(mistake))

    async def _close(self, code: int, reason: str) -> None:
        try:
            # A close frame has room for 123 bytes, and letters may take two.
            await self.socket.close(code, reason[:100])
        except (WebSocketDisconnect, RuntimeError, OSError):
            # It is closed already, which is what was wanted.
            return
