// Lines through latent space along which a slider moves a code: a dimension, or a direction at the cursor.
import type { Dimension, Plane } from '../contract'

export const TILES = 7
export const QUIET = 0.01 // nats: what an image is told by a dimension that tells it nothing

export interface Axis {
  key: string
  name: string
  low: number
  high: number
  sigma: number | null // mean posterior σ along it
  figure: string // what it is sorted by
  collapsed: boolean
  weight: number // the bar's length, of the largest
  value(z: ArrayLike<number>): number
  at(z: ArrayLike<number>, value: number): number[] // only the component along the axis changes
}

/** The dimensions, most informative first: by KL, by Std μ where there is none. */
export function dimensionAxes(dimensions: readonly Dimension[]): Axis[] {
  const weight = (dim: Dimension) => dim.kl ?? dim.std
  const most = Math.max(1e-9, ...dimensions.map(weight))
  return [...dimensions].sort((a, b) => weight(b) - weight(a)).map((dim) => ({
    key: `z${dim.index}`, name: `z${dim.index}`, low: dim.low, high: dim.high, sigma: dim.sigma,
    figure: dim.kl === null ? `std ${short(dim.std)}` : `KL ${short(dim.kl)}`,
    collapsed: dim.collapsed || (dim.kl !== null && dim.kl < QUIET), weight: weight(dim) / most,
    value: (z) => z[dim.index] ?? 0,
    at: (z, value) => Array.from(z, (old, i) => (i === dim.index ? value : old)),
  }))
}

/** Directions at a plane's anchor, measured from it; as long as the dimensions' ranges are along them. */
export function directionAxes(plane: Plane, dimensions: readonly Dimension[]): Axis[] {
  const half = new Map(dimensions.map((dim) => [dim.index, (dim.high - dim.low) / 2]))
  const stretch = plane.stretch ?? []
  return (plane.directions ?? [plane.u, plane.v]).map((u, k) => {
    const reach = Math.sqrt(u.reduce((sum, part, i) => sum + (part * (half.get(i) ?? 0)) ** 2, 0)) || 1
    const value = (z: ArrayLike<number>) => u.reduce((sum, part, i) => sum + part * ((z[i] ?? 0) - (plane.anchor[i] ?? 0)), 0)
    return {
      key: `d${k}:${u.join()}:${plane.anchor.join()}`, name: `d${k + 1}`, low: -reach, high: reach, sigma: null,
      figure: strongest(u), collapsed: false, weight: (stretch[k] ?? 0) / Math.max(1e-9, stretch[0] ?? 0), value,
      at: (z: ArrayLike<number>, wanted: number) => Array.from(z, (old, i) => old + (wanted - value(z)) * (u[i] ?? 0)),
    }
  })
}

/** The values at the centres of the strip's tiles, the ends among them. */
export function stations(axis: Axis, count = TILES): number[] {
  return Array.from({ length: count }, (_, i) => axis.low + (i * (axis.high - axis.low)) / (count - 1))
}

/** The same for two codes that differ along the axis only: their strips are one. */
export function across(axis: Axis, z: ArrayLike<number>): string {
  return axis.at(z, 0).map((value) => value.toFixed(5)).join()
}

/** "0.8 z3 − 0.5 z1": the two largest parts of a direction. */
function strongest(u: number[]): string {
  const size = (i: number) => Math.abs(u[i] ?? 0)
  const order = u.map((_, i) => i).sort((a, b) => size(b) - size(a)).slice(0, 2).filter((i) => size(i) >= 0.05)
  return order.map((i, n) => `${(u[i] ?? 0) < 0 ? '−' : n ? '+' : ''}${size(i).toFixed(1)} z${i}`).join(' ')
}

function short(value: number): string {
  return value.toFixed(value < 0.1 ? 3 : value < 10 ? 2 : 1)
}
