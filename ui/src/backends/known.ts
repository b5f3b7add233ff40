// The points of a file: each image's code and cloud, and which lie near a place.
import type { Encoded, Located, Plane, Points } from '../contract'
import { covarianceAt } from '../maths/clouds'
import { NO_CLASS } from '../words'

export class Known {
  readonly #place = new Map<number, number>()

  constructor(readonly points: Points, private readonly plane: Plane, private readonly deviations: readonly number[]) {
    points.row.forEach((row, i) => this.#place.set(row, i))
  }

  placeOf(row: number): number | undefined { return this.#place.get(row) }

  /** μ and σ of an image under a model of two latents, whose map shows all of them. */
  code(row: number): Encoded | null {
    const i = this.placeOf(row)
    if (i === undefined) return null
    const [aa, , bb] = covarianceAt(this.points, i)
    const [a, b] = [this.points.xy[2 * i]!, this.points.xy[2 * i + 1]!]
    return { mu: this.plane.u.map((u, j) => a * u + b * this.plane.v[j]!), sigma: [Math.sqrt(aa), Math.sqrt(bb)] }
  }

  /** The k nearest of the first `most` points, in deviations of the codes along each axis. */
  nearest(a: number, b: number, k: number, most: number): { places: number[]; distances: number[] } {
    const { xy, n } = this.points
    const [da, db] = this.deviations.map((deviation) => deviation || 1) as [number, number]
    const all = Array.from({ length: Math.min(most, n) }, (_, i) => [i, Math.hypot((xy[2 * i]! - a) / da, (xy[2 * i + 1]! - b) / db)] as const)
    const near = all.sort((x, y) => x[1] - y[1] || x[0] - y[0]).slice(0, k)
    return { places: near.map(([i]) => i), distances: near.map(([, distance]) => distance) }
  }

  located(places: number[], distances: number[], ids: readonly string[], support: number, threshold: number): Located {
    const label = (i: number) => (this.points.label[i] === NO_CLASS ? -1 : this.points.label[i]!)
    return {
      rows: places.map((i) => this.points.row[i]!), distances, labels: places.map(label), ids: places.map((i) => ids[i] ?? ''),
      support, inside: support >= threshold, unit: 'standard deviations of the codes',
    }
  }
}
