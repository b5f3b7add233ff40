// How far two decoded examples lie apart.
import type { Tile } from '../contract'

/** Root mean square of the differences: pixels in 0 … 1 (transparency left out), a table's values in standard deviations of their columns. */
export function rms(one: Tile, other: Tile): number {
  const [a, b, channels] = one.rgba && other.rgba ? [one.rgba, other.rgba, 4] : [one.standard ?? one.values, other.standard ?? other.values, 0]
  if (!a || !b || a.length !== b.length) return NaN
  let squares = 0
  let count = 0
  for (let i = 0; i < a.length; i++) {
    if (channels && i % 4 === 3) continue
    squares += (a[i]! - b[i]!) ** 2
    count++
  }
  return Math.sqrt(squares / count) / (channels ? 255 : 1)
}
export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
