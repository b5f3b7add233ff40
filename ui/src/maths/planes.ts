// Between codes and the map's coordinates.
import type { Extent, ModelInfo, Plane } from '../contract'

export const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i]! * (y[i] ?? 0)
  return sum
}

export const project = (plane: Plane, z: ArrayLike<number>): { a: number; b: number } => ({ a: dot(z, plane.u), b: dot(z, plane.v) })

/** z moved within the plane's directions to (a, b); what lies off the plane stays. */
export function slide(plane: Plane, z: ArrayLike<number>, a: number, b: number): number[] {
  const at = project(plane, z)
  return Array.from(z, (value, i) => value + (a - at.a) * plane.u[i]! + (b - at.b) * plane.v[i]!)
}

/** How far z lies from the plane through the origin that u and v span. */
export function offOrigin(plane: Plane, z: ArrayLike<number>): number {
  const { a, b } = project(plane, z)
  return Math.hypot(...Array.from(z, (value, i) => value - a * plane.u[i]! - b * plane.v[i]!))
}

/** What the axes are called. */
export function axisNames({ u, v, layout }: Plane, kind: string): [string, string] {
  if (layout) return ['', '']
  const name = (direction: number[], which: string) => {
    const i = direction.findIndex((value) => Math.abs(Math.abs(value) - 1) < 1e-6)
    return i >= 0 ? `z${i}` : which
  }
  return kind === 'pca' ? [name(u, 'PC 1'), name(v, 'PC 2')] : [name(u, 'local 1'), name(v, 'local 2')]
}

/** The parallel plane through z; moving z within it gives the same answer. Of two latents there is one plane only; a layout is one. */
export function through(plane: Plane, z: ArrayLike<number>): Plane {
  if (z.length !== plane.u.length || z.length < 3 || plane.layout) return plane
  const { a, b } = project(plane, z)
  const anchor = Array.from(z, (value, i) => Math.round((value - a * plane.u[i]! - b * plane.v[i]!) * 1e4) / 1e4)
  return { u: plane.u, v: plane.v, anchor }
}

/** The codes of a lattice's cells, row by row from the top (b1). */
export function lattice({ u, v, anchor }: Plane, { a0, a1, b0, b1 }: Extent, size: number, from = 0, to = size): Float32Array[] {
  const [au, av] = [dot(anchor, u), dot(anchor, v)]
  const codes: Float32Array[] = []
  for (let j = from; j < to; j++)
    for (let i = 0; i < size; i++) {
      const [a, b] = [a0 + ((i + 0.5) / size) * (a1 - a0), b1 - ((j + 0.5) / size) * (b1 - b0)]
      codes.push(Float32Array.from(anchor, (value, k) => value + (a - au) * u[k]! + (b - av) * v[k]!))
    }
  return codes
}

/** Where a cursor begins: where the plane meets the prior's middle; at the codes' mean where no prior was trained for. */
export function startOf({ prior_was_trained, mean, latent_dim }: ModelInfo, { anchor }: Plane): number[] {
  if (prior_was_trained) return anchor.length === latent_dim ? [...anchor] : Array<number>(latent_dim).fill(0)
  return [...mean]
}
