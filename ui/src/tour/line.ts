// A straight line between two codes as a plane whose first axis runs along it: the field on one row of cells measures the line.
import type { Backend, Extent, Field, ModelIndex, Plane } from '../contract'

export interface Line { plane: Plane; extent: Extent }
export interface Along { errors: number[]; threshold: number; holes: number; worst: number }

/** u along b − a, v orthogonal to it; the extent has `cells` square cells in one row. Null where a and b are one place. */
export function lineBetween(a: readonly number[], b: readonly number[], cells: number): Line | null {
  const difference = a.map((value, i) => b[i]! - value)
  const length = Math.hypot(...difference)
  if (!(length > 1e-9)) return null
  const u = difference.map((value) => value / length)
  const v = orthogonal(u)
  const [along, across] = [dot(a, u), dot(a, v)]
  const half = length / cells / 2
  return { plane: { u, v, anchor: [...a] }, extent: { a0: along, a1: along + length, b0: across - half, b1: across + half } }
}

/** A unit vector orthogonal to u: the axis that u uses least, less its part along u. With one dimension it is 0. */
function orthogonal(u: number[]): number[] {
  if (u.length === 1) return [0]
  const least = u.reduce((best, value, i) => (Math.abs(value) < Math.abs(u[best]!) ? i : best), 0)
  const rest = u.map((value, i) => (i === least ? 1 : 0) - u[least]! * value)
  const length = Math.hypot(...rest)
  return rest.map((value) => value / length)
}

/** What a field of re-encoding errors says of a line; a place where the decoder fails is a hole. */
export function judged({ values, threshold }: Pick<Field, 'values' | 'threshold'>): Along {
  const errors = Array.from(values)
  const above = errors.filter((error) => !(error <= threshold)).length
  return { errors, threshold, holes: above / errors.length, worst: Math.max(...errors.filter(Number.isFinite)) }
}

/** Re-encoding errors at the middles of `cells` equal parts of the way from a to b. */
export async function alongLine(
  backend: Backend, model: ModelIndex, step: number | null, a: readonly number[], b: readonly number[], cells: number,
): Promise<Along | null> {
  const line = lineBetween(a, b, cells)
  return line && judged(await backend.field(model, step, 'holes', line.plane, line.extent, cells))
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
