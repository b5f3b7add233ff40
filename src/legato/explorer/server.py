"""The session over HTTP: addresses, bodies, answers (docs/explorer.md). What computes is a job of the one worker.

Covered: routes, mistakes as one line with status 400, questions whose page went away. Not covered: who may ask (guard.py), the
socket (drag.py), listening (opening.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from legato.errors import Mistake
from legato.explorer import assets, progression, tiles
from legato.explorer.animation import animated
from legato.explorer.body import read
from legato.explorer.catalogue import png
from legato.explorer.drag import Drag
from legato.explorer.fields import Grid
from legato.explorer.landscape import KINDS
from legato.explorer.layout import Layouts
from legato.explorer.points import Points
from legato.explorer.request_body import RequestBody
from legato.explorer.selection import written
from legato.explorer.session import DECODE, UPLOAD, Session
from legato.explorer.uploads import as_row
from legato.explorer.worker import FIELD, MAP, NEAR, TILES, Slices, Worker

T = TypeVar("T")
JSON = 1 << 20  # bytes of a question: a longer one is refused while it arrives
ROWS_JSON = 16 << 20  # bytes of one that names chosen images, of which there may be a million
PLANES = ("axes", "pca", "local", "umap")
MOST_CHOSEN = 1_000_000  # rows of a table: their numbers fit into ROWS_JSON
MOST_NEAR, MOST_ROWS, MOST_STOPS, MOST_FRAMES, MOST_WAYS, MOST_OF_FILM = 200, 10_000, 32, 1_000, 64, 65
LATENTS = 65_536  # as many as `request_body.WIDEST`: whether the model has so many is told with its own number
PATIENCE = 0.2  # seconds between two looks at whether the page still waits: a closed page sends nothing

Answer = Callable[[Request], Awaitable[Response]]


class Routes:
    """An answer for each address below the token."""

    def __init__(self, session: Session, worker: Worker, layouts: Layouts) -> None:
        self.session, self.worker, self.files = session, worker, assets.read()
        self.layouts = layouts
        # a picture of 64 megapixels is 256 MB while it is decoded: several at once would be gigabytes
        self.reading = asyncio.Semaphore(1)

    def app(self) -> Starlette:
        """The application; addresses that are none answer 404."""
        posted = {
            "plane": self.plane, "points": self.points, "decode": self.decode, "field": self.field, "locate": self.locate,
            "dimensions": self.dimensions, "encode": self.encode, "code": self.code, "mean": self.mean, "path.gif": self.path,
            "selection.csv": self.selection, "quality": self.quality, "thumbnails": self.thumbnails,
            "examples": self.examples, "ways": self.ways, "prior": self.prior, "film": self.film, "rows": self.rows,
        }  # fmt: skip
        given = {
            "": self.index, "assets/{name:path}": self.asset, "session.json": self.description,
            "curves/{model:int}": self.curves, "image/{row:int}.png": self.image, "row/{row:int}": self.row, "find": self.find,
            "tour.json": self.tour,
        }  # fmt: skip
        routes = [Route(f"/{path}", answer, methods=["POST"]) for path, answer in posted.items()]
        routes += [Route(f"/{path}", answer, methods=["GET"]) for path, answer in given.items()]
        failures: Any = {Mistake: _mistaken, HTTPException: _refused}
        app = Starlette(routes=[*routes, WebSocketRoute("/socket", self.socket)], exception_handlers=failures)
        app.router.redirect_slashes = False  # it would redirect to an address without the token
        return app

    async def index(self, request: Request) -> Response:
        """The page."""
        return assets.answer(self.files[assets.INDEX], assets.INDEX)

    async def asset(self, request: Request) -> Response:
        """A file of the page, from a dictionary."""
        name = f"assets/{request.path_params['name']}"
        if name not in self.files:
            raise HTTPException(404, "there is no such file")
        return assets.answer(self.files[name], name)

    async def tour(self, request: Request) -> Response:
        """The recorded experiment that the tour speaks of."""
        if assets.TOUR not in self.files:
            raise HTTPException(404, "no experiment was recorded")
        return assets.answer(self.files[assets.TOUR], assets.TOUR)

    async def description(self, request: Request) -> Response:
        """The session's description, which a page asks for first."""
        return JSONResponse(await self._job(request, NEAR, self.session.description()))

    async def plane(self, request: Request) -> Response:
        """A plane of two latents, of principal components, of what matters most at a place; or one to be laid out by UMAP."""
        body = await _body(request)
        model, step, session = *_place(body), self.session
        kind = body.word("kind", PLANES)
        if kind == "axes":
            job = session.axes(model, step, body.whole("i", 0, LATENTS), body.whole("j", 0, LATENTS))
        elif kind == "local":
            job = session.local(model, step, body.numbers("at"))
        else:
            job = session.principal(model, step) if kind == "pca" else session.umap(model, step)
        return JSONResponse((await self._job(request, MAP, job)).to_json())

    async def points(self, request: Request) -> Response:
        """Every point of the map."""
        body = await _body(request)
        plane = body.plane()
        if plane.layout is None:
            points = await self._job(request, MAP, self.session.points(*_place(body), plane))
        else:
            points = await self._laid_out(request, *_place(body))
        return _bytes(await asyncio.to_thread(points.pack))  # in a thread: the loop has sockets to serve

    async def _laid_out(self, request: Request, model: int, step: int | None) -> Points:
        key, codes = await self._job(request, MAP, self.session.white(model, step))
        places = await self._awaited(request, asyncio.ensure_future(self.layouts.of(key, codes)))
        return await self._job(request, MAP, self.session.placed(codes.shape[1], places))

    async def decode(self, request: Request) -> Response:
        """Many codes' images."""
        body = await _body(request)
        decoded = await self._job(request, TILES, self.session.decode(*_place(body), body.codes("z", DECODE)))
        return _bytes(await asyncio.to_thread(tiles.packed, decoded))

    async def field(self, request: Request) -> Response:
        """A number at every place of a plane."""
        body = await _body(request)
        grid = Grid(body.extent(), body.whole("size", 1))
        job = self.session.field(*_place(body), body.word("kind", KINDS), body.plane(), grid)
        return _bytes((await self._job(request, FIELD, job)).pack())

    async def locate(self, request: Request) -> Response:
        """The neighbourhood of a place."""
        body = await _body(request)
        job = self.session.locate(*_place(body), body.numbers("z"), body.whole("k", 1, MOST_NEAR))
        return JSONResponse(await self._job(request, NEAR, job))

    async def dimensions(self, request: Request) -> Response:
        """The dimensions and what each carries."""
        body = await _body(request)
        return JSONResponse({"dimensions": await self._job(request, MAP, self.session.dimensions(*_place(body)))})

    async def encode(self, request: Request) -> Response:
        """The codes of a picture that a person brings, and the picture as the models see it."""
        content = await read(request, UPLOAD)
        data = self.session.catalogue.prepared
        async with self.reading:
            # In a thread: decoding a large picture would otherwise hold up every cursor for its length.
            row = await asyncio.to_thread(as_row, content, data.dataset)
        told = await self._job(request, NEAR, self.session.encode(row))
        return JSONResponse({**told, "image": _inline(png(data.preparation.seen(data.preparation.original(row))))})

    async def code(self, request: Request) -> Response:
        """An image's code under every model."""
        body = await _body(request)
        return JSONResponse(await self._job(request, NEAR, self.session.code(body.whole("row"), body.steps())))

    async def mean(self, request: Request) -> Response:
        """The mean code of chosen images."""
        body = await _body(request)
        job = self.session.mean(*_place(body), body.wholes("rows", MOST_ROWS))
        return JSONResponse({"mu": (await self._job(request, TILES, job)).tolist()})

    async def prior(self, request: Request) -> Response:
        """Codes from a model's own prior, or from one that was fitted."""
        body = await _body(request)
        (model, step), (seed, n, temperature) = _place(body), _draws(body)
        job = self.session.prior(model, step, seed, n, temperature, body.text("name") if body.has("name") else None)
        return JSONResponse({"codes": (await self._job(request, TILES, job)).tolist()})

    async def film(self, request: Request) -> Response:
        """The ways of draws from noise to codes."""
        body = await _body(request)
        frames = body.whole("frames", 2, MOST_OF_FILM)
        job = self.session.ways_from_noise(body.whole("model", 0, 255), body.text("name"), *_draws(body), frames)
        return JSONResponse({"codes": (await self._job(request, TILES, job)).tolist()})

    async def quality(self, request: Request) -> Response:
        """A value of every shown image, to colour it by."""
        body = await _body(request)
        values = await self._job(request, FIELD, self.session.quality(*_place(body), body.text("key")))
        return _bytes(values.astype("<f4").tobytes())

    async def selection(self, request: Request) -> Response:
        """Chosen images as a table."""
        body = RequestBody.read(await read(request, ROWS_JSON))
        job = self.session.selection(*_place(body), body.wholes("rows", MOST_CHOSEN))
        rows, mu = await self._job(request, TILES, job)
        table = await asyncio.to_thread(written, self.session.catalogue, rows, mu)
        return Response(table, media_type="text/csv; charset=utf-8")

    async def examples(self, request: Request) -> Response:
        """Images that the models give back well."""
        body = await _body(request)
        return JSONResponse(await self._job(request, TILES, self.session.examples(body.steps())))

    async def ways(self, request: Request) -> Response:
        """Straight ways between the codes of pairs of images."""
        body = await _body(request)
        job = self.session.ways(*_place(body), body.pairs("rows", MOST_WAYS), body.whole("cells", 1, MOST_WAYS))
        return JSONResponse(await self._job(request, FIELD, job))

    async def path(self, request: Request) -> Response:
        """A path through latent space as an animation."""
        body = await _body(request)
        stops, frames = body.codes("stops", MOST_STOPS), body.whole("frames", 2, MOST_FRAMES)
        if len(stops) * frames > MOST_FRAMES:
            raise Mistake(f"{len(stops)} stops of {frames} frames are more than {MOST_FRAMES} frames: ask for fewer")
        job = self.session.path(*_place(body), stops, body.flag("spherical"), frames)
        return Response(await asyncio.to_thread(animated, await self._job(request, TILES, job)), media_type="image/gif")

    async def curves(self, request: Request) -> Response:
        """The lines of a run's training, from a line on."""
        after = request.query_params.get("after", "0")
        # Digits alone: int() takes spaces, signs and numbers of other scripts, too.
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise Mistake("`after` must be a number of lines")
        run = self.session.member(request.path_params["model"]).run
        return JSONResponse(await asyncio.to_thread(progression.curves, run, int(after)))

    async def image(self, request: Request) -> Response:
        """An image of the source."""
        content = await asyncio.to_thread(self.session.catalogue.png, request.path_params["row"])
        return Response(content, media_type="image/png")

    async def thumbnails(self, request: Request) -> Response:
        """Small pictures of many images."""
        rows = (await _body(request)).wholes("rows", DECODE)
        return _bytes(await asyncio.to_thread(self.session.catalogue.thumbnails, rows))

    async def row(self, request: Request) -> Response:
        """A row of the source as decoded ones are told."""
        found = await asyncio.to_thread(self.session.catalogue.original, request.path_params["row"])
        return _bytes(tiles.packed(found))

    async def rows(self, request: Request) -> Response:
        """The ids and labels of rows; of a table their values, too."""
        body = (await _body(request)).wholes("rows", MOST_NEAR)
        return JSONResponse(await asyncio.to_thread(self.session.catalogue.told, body))

    async def find(self, request: Request) -> Response:
        """Images by id or label."""
        text = request.query_params.get("q", "")[:200]  # cut, as each id is searched for it
        return JSONResponse(await asyncio.to_thread(self.session.catalogue.find, text))

    async def socket(self, socket: WebSocket) -> None:
        """The cursor."""
        await Drag(socket, self.session, self.worker).run()

    async def _job(self, request: Request, urgency: int, job: Slices[T]) -> T:
        """The job's result; a job whose page went away is dropped at its next slice."""
        return await self._awaited(request, asyncio.wrap_future(self.worker.submit(urgency, lambda: job)))

    async def _awaited(self, request: Request, found: asyncio.Future[T]) -> T:
        """The result; what a page that went away waited for is cancelled."""
        try:
            # Looked at now and then: a page that is closed sends nothing more, and its field may take a minute.
            while not (await asyncio.wait([found], timeout=PATIENCE))[0]:
                if await request.is_disconnected():
                    raise HTTPException(400, "nobody waits for this answer")
        finally:
            found.cancel()  # what is done is not cancelled by it
        if found.cancelled():
            raise HTTPException(503, "Legato is ending")  # by the worker, which is ending
        return found.result()


async def _body(request: Request) -> RequestBody:
    return RequestBody.read(await read(request, JSON))


def _place(body: RequestBody) -> tuple[int, int | None]:
    return body.whole("model", 0, 255), body.step()


def _draws(body: RequestBody) -> tuple[int, int, float]:
    """Seed, number and temperature."""
    return body.whole("seed"), body.whole("n", 1, DECODE), float(body.numbers("temperature", 1)[0])


def _bytes(content: bytes) -> Response:
    return Response(content, media_type="application/octet-stream")


def _inline(content: bytes) -> str:
    from base64 import b64encode

    return f"data:image/png;base64,{b64encode(content).decode()}"


async def _mistaken(request: Request, mistake: Exception) -> Response:
    # one line, whatever the mistake's own line breaks: the page shows it in one
    return JSONResponse({"error": " ".join(str(mistake).split())}, 400)


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)
