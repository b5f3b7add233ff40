// What the lines over the points show of the state: the path's course, and the selected image with its own cloud.
import type { Encoded, Mark, ModelIndex, Plane, Points } from '../contract'
import type { ViewerCore } from '../core'
import type { Spot } from './camera'
import { covarianceAt, hasClouds, projected, type Covariance } from './clouds'
import type { Marks } from './overlay'
import { project } from './planes'

const PIECES = 64 // straight pieces of a path's course

export type Place = (a: number, b: number) => Spot

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
