// What the lines over the points show of the state: the cursor, the path's course, the selected image with its own cloud.
import type { Encoded, Mark, ModelIndex, ModelInfo, Plane, Points } from '../contract'
import type { ViewerCore } from '../core'
import { toScreen, type Spot } from '../maths/camera'
import { covarianceAt, hasClouds, projected, type Covariance } from '../maths/clouds'
import { stopsAt } from './layout'
import type { Marks } from './overlay'
import { axisNames, project } from '../maths/planes'
import type { Frame } from './scene'
import type { Surface } from './surface'

const PIECES = 64 // straight pieces of a path's course

export type Place = (a: number, b: number) => Spot

export function marksOf(view: Surface, frame: Frame): Marks {
  const { core, model, between } = view
  const plane = core.planes[model] ?? null
  const place = (a: number, b: number) => toScreen(frame.camera, frame, a, b)
  const layout = plane?.layout !== undefined
  return {
    ...view.marks, cursor: between ? null : view.cursorSpot, active: core.state.active === model || core.state.models.length < 2,
    inside: core.located[model]?.inside ?? true, rings: ringed(core.session.models[model]!) && !between && !layout,
    axes: plane && !between ? axisNames(plane, core.state.models[model]!.choice.kind) : ['', ''],
    ...pathOn(view, plane, place), followed: followedOn(view), selected: selectedOn(view, plane, place),
    guide: between ? null : guideOf(core, model, plane, place),
  }
}

/** The leading map shows which image the other one's cursor is at; there the cursor lies on it. */
function followedOn(view: Surface): Spot | null {
  const { followed } = view.core
  return followed?.leader === view.model && !view.between ? view.spotOfRow(followed.row) : null
}

function pathOn(view: Surface, plane: Plane | null, place: Place): Pick<Marks, 'path' | 'leg'> {
  if (view.between) return { path: [], leg: [] }
  if (view.laid) return { path: stopsAt(view.core.state.path, (row) => view.spotOfRow(row)), leg: [] }
  return courseOf(view.core, view.model, plane, place)
}

function selectedOn(view: Surface, plane: Plane | null, place: Place): Marks['selected'] {
  const { selected, clouds } = view.core.state
  if (selected === null) return null
  const [i, code, k] = [view.indexOf(selected), view.core.encoded[view.model], view.between ? 0 : clouds || 1]
  if (i >= 0) return selectedOf(view.points!, i, view.spotOf(i), k)
  return code && plane && !view.between && !plane.layout ? unshown(code, plane, place, k) : null
}

export function courseOf(core: ViewerCore, model: ModelIndex, plane: Plane | null, place: Place): Pick<Marks, 'path' | 'leg'> {
  const { path, active, link } = core.state
  const foreign = active !== model && link === 'image' // the stops are codes of the other model
  if (!plane || foreign || path.some(({ z }) => z.length !== plane.u.length)) return { path: [], leg: [] }
  const at = (z: ArrayLike<number>) => {
    const { a, b } = project(plane, z)
    return place(a, b)
  }
  const course = path.length < 2 ? [] : Array.from({ length: PIECES + 1 }, (_, i) => core.along(i / PIECES))
  return { path: path.map(({ z, name }) => ({ spot: at(z), name })), leg: course.filter((z) => z !== null).map(at) }
}

/** What the tour points at, where this map has a place for it. */
export function guideOf(core: ViewerCore, model: ModelIndex, plane: Plane | null, place: Place): Marks['guide'] {
  const guide = core.guides[model]
  if (!guide || !plane || plane.layout) return null
  const at = ({ z, off = false }: Mark) => {
    const { a, b } = project(plane, z)
    return { spot: place(a, b), off }
  }
  return { spots: guide.spots.map(at), way: guide.way.map(at) }
}

/** `spot`: where the i-th point lies. The cloud is k times the posterior's, as the map's clouds are. */
export function selectedOf(points: Points, i: number, spot: Spot, k: number): Marks['selected'] {
  return { spot, cloud: hasClouds(points) ? scaled(covarianceAt(points, i), k) : null }
}

/** A selected image that is not among the shown points. */
export function unshown({ mu, sigma }: Encoded, plane: Plane, place: Place, k: number): Marks['selected'] {
  const { a, b } = project(plane, mu)
  return { spot: place(a, b), cloud: sigma.some((s) => s > 0) ? scaled(projected(plane, sigma), k) : null }
}

const scaled = (cloud: Covariance, k: number): Covariance => cloud.map((value) => value * k * k) as Covariance

/** Rings are of N(0, I), and only where codes were charged for leaving it. */
function ringed({ prior_was_trained, standard_prior }: ModelInfo): boolean { return prior_was_trained && standard_prior !== false }
