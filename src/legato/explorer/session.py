"""The session: everything that a page can ask of one or two models, without HTTP (docs/explorer.md).

Covered: what is asked of models, each answer a job of slices for the one thread that computes (worker.py). Not covered: the
source's images (catalogue.py), a run's curves (progression.py), bytes and addresses (server.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato import __version__
from legato.errors import Mistake
from legato.explorer import showcase, tiles
from legato.explorer.catalogue import Catalogue
from legato.explorer.codes import Codes, Encoding, encoded
from legato.explorer.density import Aggregate
from legato.explorer.fields import Field, Grid
from legato.explorer.frames import CursorRequest, Picture
from legato.explorer.landscape import DECODED, Kind, Landscape, decode, gram
from legato.explorer.layout import obstacle
from legato.explorer.likeness import Held, Judge
from legato.explorer.models import Member, titles
from legato.explorer.planes import UMAP, Plane, axes, local, spanned
from legato.explorer.points import Points, placed, project
from legato.explorer.qualities import of_codes, of_rows, offered
from legato.explorer.recent import Recent
from legato.explorer.selection import places
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace
from legato.lazy import lazy
from legato.streams import random_stream
from legato.types import Floats

UPLOAD = 16 << 20  # bytes of a picture that a person brings: a phone's photograph is some millions
DECODE = 256  # codes of one question, in 16 slices
KEPT = 512 << 20  # bytes of codes in memory, of several steps of a run: moving a slider back costs nothing then
SAMPLE = 500  # images from which a run's moments are told before its own are written: enough for a slider's ends
UNIT = "standard deviations of the codes"
Step = int | None


class Session:
    """A session with one or two runs of the same data. Each method that computes is a job; all jobs are one thread's."""

    def __init__(self, members: Sequence[Member], catalogue: Catalogue, classes: dict[str, Any] | None = None) -> None:
        self.members, self.catalogue, self.classes = list(members), catalogue, classes
        # Caches by bytes and not by number: codes of 2 and of 65,536 latents differ by as much.
        self._codes: Recent[Encoding] = Recent(lambda encoding: encoding.nbytes, KEPT)
        self._qualities: Recent[Floats] = Recent(lambda values: values.nbytes, KEPT)
        self._landscapes: Recent[Landscape] = Recent(lambda landscape: landscape.codes.mu.nbytes, KEPT)
        self._judges: Recent[Judge] = Recent(lambda judge: judge.landscape.codes.mu.nbytes, KEPT)

    def member(self, model: int) -> Member:
        """A run by its number. Raises `Mistake` where there is none."""
        if not 0 <= model < len(self.members):
            raise Mistake(f"there is no model {model}: the session has 0 … {len(self.members) - 1}")
        return self.members[model]

    def description(self) -> Slices[dict[str, Any]]:
        """The session as the page is told of it first; nothing but some hundred images is encoded for it."""
        models = []
        for model, (member, title) in enumerate(zip(self.members, titles(self.members), strict=True)):
            colours = [quality.to_json() for quality in offered(member.blank, self.catalogue)]
            models.append({**member.to_json(title), **(yield from self._moments_of(model)), "colours": colours})
        limits = {"upload_bytes": UPLOAD, "decode": DECODE, "no_umap": obstacle(len(self.catalogue.shown))}
        data = self.catalogue.to_json()
        told = {"version": 1, "legato": __version__, "data": data, "models": models, "limits": limits}
        return told if self.classes is None else {**told, "classes": self.classes}

    def cursor(self, request: CursorRequest) -> Slices[Picture]:
        """The picture of one z; an error where z or the decoder's answer is not finite."""
        member = self.member(request.model)
        space = member.at(member.numbered(request.step))
        return tiles.drawn(decode(space, _code(request.z[None], space)))
        yield

    def decode(self, model: int, step: Step, z: NDArray[Any]) -> Slices[Floats]:
        """The images of codes (n, d), (n, *shape), in the data's own units."""
        space = self.member(model).at(step)
        z = _code(z, space)
        parts = []
        for at in range(0, len(z), DECODED):
            parts.append(decode(space, z[at : at + DECODED]))
            yield
        return np.concatenate(parts)

    def prior(
        self, model: int, step: Step, seed: int, n: int, temperature: float, name: str | None = None
    ) -> Slices[NDArray[np.float32]]:
        """n codes from the model's own prior, (n, d), where it is N(0, I) the page draws them itself; or from a fitted one."""
        drawn = self.member(model).under(step, name).draw_prior(n, random_stream(seed, "samples"), temperature)
        return drawn
        yield  # never reached: it makes the function a generator, which all jobs are

    def ways_from_noise(
        self, model: int, name: str, seed: int, n: int, temperature: float, frames: int
    ) -> Slices[NDArray[np.float32]]:
        """The ways of the same draws of a fitted prior from noise, (frames · n, d), one frame after the other."""
        latent, found = self.member(model).under(None, name).model.latent, []
        for codes in latent.ways(n, random_stream(seed, "samples"), frames, temperature):
            found.append(codes.reshape(n, -1))
            yield
        return np.concatenate(found)

    def path(self, model: int, step: Step, stops: NDArray[Any], spherical: bool, frames: int) -> Slices[Floats]:
        """Decoded codes from stop to stop (n, d), `frames` for each leg with both its ends."""
        space = self.member(model).at(step)
        between = space.interpolate(_code(stops, space), steps=frames, spherical=spherical)
        return (yield from self.decode(model, step, between))

    def axes(self, model: int, step: Step, i: int, j: int) -> Slices[Plane]:
        """Two latent dimensions, through the mean of the codes."""
        return axes(i, j, (yield from self.codes(model, step)).mean)

    def principal(self, model: int, step: Step) -> Slices[Plane]:
        """The principal plane of the codes, through their mean."""
        codes = yield from self.codes(model, step)
        return spanned(codes.moments.leading(2), codes.mean)

    def local(self, model: int, step: Step, z: NDArray[Any]) -> Slices[Plane]:
        """The directions in which the image changes most at z (d,), and the plane of the first two through z."""
        space = self.member(model).at(step)
        z = _code(z[None], space)[0].astype(np.float64)
        codes = yield from self.codes(model, step)
        return local((yield from gram(space, codes, z)), z)

    def umap(self, model: int, step: Step) -> Slices[Plane]:
        """The principal plane, whose points are laid out by UMAP; of at most two latents it is all there is."""
        self._can_be_laid_out()
        plane = yield from self.principal(model, step)
        return plane if len(plane.u) <= 2 else replace(plane, layout=UMAP)

    def white(self, model: int, step: Step) -> Slices[tuple[Hashable, Floats]]:
        """The codes that a layout is made of: a key, equal for equal codes, and the codes in latent units (n, d)."""
        self._can_be_laid_out()
        member = self.member(model)
        # the label is a part of it: layouts are shared by the sessions of all classes
        key, space = (member.label, model, member.key(step)), member.at(step)
        if space.latent_dim <= 2:
            raise Mistake("the plane shows all of two latents: only more of them are laid out")
        return key, (yield from self._encoded(key[1:], space)).white

    def placed(self, d: int, places: NDArray[np.float32]) -> Slices[Points]:
        """The map: every shown image at its place of a layout (n, 2), its code of d numbers."""
        shown = self.catalogue.shown
        return placed(d, places, shown, self.catalogue.labels(shown))
        yield

    def points(self, model: int, step: Step, plane: Plane) -> Slices[Points]:
        """The map: every shown image's posterior on a plane."""
        codes = yield from self.codes(model, step)
        _fits(plane, codes)
        shown = self.catalogue.shown
        return project(plane, codes.mu, codes.sigma, shown, self.catalogue.labels(shown))

    def field(self, model: int, step: Step, kind: Kind, plane: Plane, grid: Grid) -> Slices[Field]:
        """A number at every cell of a grid on a plane."""
        if plane.layout is not None:
            raise Mistake("a UMAP layout has no inverse: a field is of a plane")
        landscape = yield from self.landscape(model, step)
        _fits(plane, landscape.codes)
        return (yield from landscape.field(kind, plane, grid))

    def locate(self, model: int, step: Step, z: NDArray[Any], k: int) -> Slices[dict[str, Any]]:
        """The neighbourhood of z (d,): the k nearest shown images, and whether z is where codes of held-out images are."""
        landscape = yield from self.landscape(model, step)
        z = _code(z[None], landscape.space)
        usual = yield from landscape.threshold("support")
        support = float(landscape.aggregate.support(z)[0])
        places, distances = landscape.codes.nearest(z[0], k)
        near = self.catalogue.named(self.catalogue.shown[places])
        return {**near, "distances": distances.tolist(), "support": support, "inside": support >= usual, "unit": UNIT}

    def dimensions(self, model: int, step: Step) -> Slices[list[dict[str, Any]]]:
        """The latent dimensions and what each carries, most informative first."""
        return (yield from self.codes(model, step)).dimensions()

    def encode(self, row: NDArray[Any]) -> Slices[dict[str, Any]]:
        """The posterior of one picture of the source's form (1, *shape) under each model as it is now, and what it is like."""
        prepared = self.catalogue.prepared.preparation
        picture, models = prepared.seen(prepared.original(row)).astype(np.float32), []
        for model in range(len(self.members)):
            mu, sigma = self.member(model).at(None).encode(row)
            found = yield from (yield from self._judge(model)).of_code(picture, mu)
            models.append({**_posterior(mu, sigma), "findings": [each.to_json() for each in found]})
        findings = [each.to_json() for each in (yield from self._held.of_picture(picture))]
        return {"models": models, "findings": findings, "held": len(self._held.rows)}

    def code(self, row: int, steps: Sequence[Step]) -> Slices[dict[str, Any]]:
        """The posterior of one image of the source under each model at a step of its own; its label and id."""
        self._one_for_each(steps)
        rows, models = self.catalogue.rows([row]), []
        for model, step in enumerate(steps):
            space = self.member(model).at(step)
            models.append(_posterior(*(yield from encoded(space, self.catalogue.prepared, rows))))
        named = self.catalogue.named(rows)
        return {"models": models, "label": named["labels"][0], "id": named["ids"][0]}

    def mean(self, model: int, step: Step, rows: list[int]) -> Slices[NDArray[np.float64]]:
        """The mean code of chosen images of the source, (d,)."""
        chosen = self.catalogue.rows(rows)
        mu, _ = yield from encoded(self.member(model).at(step), self.catalogue.prepared, chosen)
        return np.asarray(mu.mean(0, dtype=np.float64))  # summed in double precision, as thousands of codes may be chosen

    def selection(self, model: int, step: Step, rows: list[int]) -> Slices[tuple[NDArray[np.int64], Floats]]:
        """Chosen images of the map and their codes' means (n, d). Raises `Mistake` for one that is not on the map."""
        chosen = self.catalogue.rows(rows)
        at = places(self.catalogue.shown, chosen)
        return chosen, (yield from self.codes(model, step)).mu[at]

    def quality(self, model: int, step: Step, key: str, most: int | None = None) -> Slices[Floats]:
        """One of `offered` of the first `most` images on the map, or of all, (n,), in order; a class by its number, or -1."""
        member, most = self.member(model), len(self.catalogue.shown) if most is None else most
        known = [quality.key for quality in offered(member.blank, self.catalogue)]
        if key not in known:
            raise Mistake(f"`key` must be one of {', '.join(known)}")
        # by what is loaded: a run in training has another model under the same step later
        place, space = (model, member.key(step), key, most), member.at(step)
        if (found := self._qualities.known(place)) is not None:
            return found
        codes = yield from self.codes(model, step)
        read = of_codes(key, codes)
        values = (yield from of_rows(key, space, self.catalogue, codes, most)) if read is None else read[:most]
        return self._qualities.get(place, lambda: values)

    def examples(self, steps: Sequence[Step]) -> Slices[dict[str, Any]]:
        """Images to show models by: what every model gives back of each is in the better half of its class and nearest to
        real images of it, and so is its code; held-out ones where there are any. `by`: the models that all of them suit.
        """
        self._one_for_each(steps)
        held, labels = self.catalogue.held, self.catalogue.labels(self.catalogue.shown)
        places = np.flatnonzero(held if held.any() else ~held)[: showcase.CANDIDATES]
        others = showcase.others_of(places, len(held), int(np.prod(self.catalogue.dataset.shape)))
        seen, known = self.catalogue.seen(places), self.catalogue.seen(others)
        suits, losses = [], []
        for model, step in enumerate(steps):
            codes = yield from self.codes(model, step)
            back = yield from showcase.given_back(self.member(model).at(step), codes, places)
            lost = showcase.shares_lost(back, seen, labels[places])
            known_by = showcase.recognised(back, labels[places], known, labels[others])
            suits.append((lost <= 1) & known_by & (yield from showcase.at_home(codes, places, labels)))
            losses.append(lost)
        by = showcase.suited(suits, [self.member(model).blank.has_density for model in range(len(suits))])
        fit = np.flatnonzero(np.logical_and.reduce([suits[model] for model in by])) if by else np.arange(len(places))
        lost = np.mean([losses[model] for model in by or range(len(losses))], axis=0)[fit]
        chosen = places[fit[showcase.in_turn(lost, labels[places[fit]])]]
        return {**self.catalogue.named(self.catalogue.shown[chosen]), "by": by, "of": len(places)}

    def ways(self, model: int, step: Step, rows: Sequence[Sequence[int]], cells: int) -> Slices[dict[str, Any]]:
        """Straight ways between the codes of two images each, at the middles of `cells` parts (showcase.py)."""
        landscape = yield from self.landscape(model, step)
        ends = self.catalogue.rows([row for way in rows for row in way])
        mu, _ = yield from encoded(landscape.space, self.catalogue.prepared, ends)
        return (yield from showcase.along(landscape, mu.reshape(len(rows), 2, -1).astype(np.float64), cells))

    def codes(self, model: int, step: Step) -> Slices[Codes]:
        """The posteriors of the shown images, encoded once."""
        member = self.member(model)
        return (yield from self._encoded((model, member.key(step)), member.at(step)))

    def landscape(self, model: int, step: Step) -> Slices[Landscape]:
        """A model's codes with their density."""
        member = self.member(model)
        key, space = (model, member.key(step)), member.at(step)
        codes = yield from self._encoded(key, space)
        held = self.catalogue.held
        return self._landscapes.get(key, lambda: Landscape(space, codes, Aggregate.of(codes, held)))

    @lazy
    def _held(self) -> Held:
        return Held(self.catalogue)

    def _judge(self, model: int) -> Slices[Judge]:
        landscape = yield from self.landscape(model, None)
        # by the landscape itself: a model that was written anew is judged anew
        return self._judges.get(landscape, lambda: Judge(self._held, landscape))

    def _encoded(self, key: Hashable, space: LatentSpace) -> Slices[Codes]:
        """A model's codes by what was loaded for it: a run in training may write another model meanwhile."""
        encoding = self._codes.get(key, lambda: Encoding(space, self.catalogue.prepared, self.catalogue.shown))
        # The encoding may have been made by another question: whoever comes goes on with it.
        while encoding.codes is None:
            encoding.advance()
            yield
        return encoding.codes

    def _one_for_each(self, steps: Sequence[Step]) -> None:
        if len(steps) != len(self.members):
            raise Mistake(f"`step` holds one step for each of the {len(self.members)} models, got {len(steps)}")

    def _can_be_laid_out(self) -> None:
        if why := obstacle(len(self.catalogue.shown)):
            raise Mistake(why)

    def _moments_of(self, model: int) -> Slices[dict[str, list[float]]]:
        """Mean and deviation of the codes and their mean σ²: the run's own, else of some images; empty without a model."""
        member = self.member(model)
        if not member.ready:
            return {"mean": [], "std": [], "noise": []}
        space = member.at(None)
        if space.kept.has_moments:
            known = space.moments()
            return _moments(known.mean, known.variances, known.noise)
        # Sorted: the rows are a random sample already, and in their own order a disk reads them faster.
        rows = np.sort(self.catalogue.shown[:SAMPLE])
        mu, sigma = yield from encoded(space, self.catalogue.prepared, rows)
        return _moments(mu.mean(0), mu.var(0), np.square(sigma).mean(0))


def _moments(mean: NDArray[Any], variance: NDArray[Any], noise: NDArray[Any]) -> dict[str, list[float]]:
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and np.isfinite(noise).all()):
        raise Mistake("the model gives codes that are not finite: the run diverged, train it anew")
    return {"mean": mean.tolist(), "std": np.sqrt(np.maximum(variance, 0)).tolist(), "noise": noise.tolist()}


def _posterior(mu: Floats, sigma: Floats) -> dict[str, list[float]]:
    if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise Mistake("the model gives no finite code for this image: the run diverged, train it anew")
    return {"mu": mu[0].tolist(), "sigma": sigma[0].tolist()}


def _code(z: NDArray[Any], space: LatentSpace) -> NDArray[np.float32]:
    """z (n, d) in single precision. Raises `Mistake` for another width or what is not finite."""
    if z.ndim != 2 or z.shape[1] != space.latent_dim or not len(z):
        raise Mistake(f"`z` has {space.latent_dim} numbers, got {z.shape[-1]}")
    # Checked after the conversion: 10⁴⁰ is finite until it is a single.
    single = np.asarray(z, np.float32)
    if not np.isfinite(single).all():
        raise Mistake("`z` must be finite")
    return single


def _fits(plane: Plane, codes: Codes) -> None:
    if len(plane.u) != codes.mu.shape[1]:
        raise Mistake(f"`u`, `v` and `anchor` of a plane have {codes.mu.shape[1]} numbers each, got {len(plane.u)}")
