// A quality of every point, as colours: numbers along viridis, from the hundredth to the ninety-ninth of a hundred.
import type { Quality } from '../contract'
import { NO_CLASS } from '../words'
import { unclassed, viridis } from './colours'

export interface Shade { quality: Quality; values: Float32Array; sorted: Float32Array; low: number; high: number }
const TAIL = 0.01 // of the points on either side that share the end's colour
const [PALEST, DARKEST] = [0.93, 0.12] // of viridis: its yellow is lost on a light map, its violet on a dark one

export function shadeOf(quality: Quality, values: Float32Array): Shade {
  const sorted = values.filter(Number.isFinite).sort()
  return { quality, values, sorted, low: quantile({ sorted }, TAIL), high: quantile({ sorted }, 1 - TAIL) }
}

/** The value that so large a share of the points lies below. */
export const quantile = ({ sorted }: Pick<Shade, 'sorted'>, share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? NaN

/** The values between which points are shown; a whole range leaves out nothing, not even what has no number. */
export function bounds(shade: Shade, [from, to]: readonly [number, number]): [number, number] {
  return [from > 0 ? quantile(shade, from) : -Infinity, to < 1 ? quantile(shade, to) : Infinity]
}

/** A value's place in viridis, in bytes from its start. */
export function inkAt({ low, high }: Pick<Shade, 'low' | 'high'>, value: number, dark: boolean): number {
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5
  return 3 * Math.round(255 * (dark ? DARKEST + (1 - DARKEST) * share : PALEST * share))
}

/** Colours the points that are shown, rgba in place, and hides those out of range. */
export function shaded(rgba: Uint8Array, shade: Shade, range: readonly [number, number], dark: boolean): Uint8Array {
  const [from, to] = bounds(shade, range)
  const whole = from === -Infinity && to === Infinity
  for (let i = 0; i < shade.values.length; i++) {
    const value = shade.values[i]!
    if (!(value >= from && value <= to) && !whole) rgba[4 * i + 3] = 0
    if (!rgba[4 * i + 3]) rgba.fill(0, 4 * i, 4 * i + 4)
    else if (Number.isFinite(value)) rgba.set(viridis.subarray(inkAt(shade, value, dark), inkAt(shade, value, dark) + 3), 4 * i)
    else rgba.set(unclassed(dark), 4 * i)
  }
  return rgba
}

/** Classes as the points have them. */
export const classesOf = (values: Float32Array): Uint16Array => Uint16Array.from(values, (value) => (value >= 0 ? value : NO_CLASS))

/** How many points have a value in each of so many equal parts of low … high; the ends take what lies beyond. */
export function histogram({ sorted, low, high }: Shade, parts: number): number[] {
  const counts = Array<number>(parts).fill(0)
  for (const value of sorted) counts[Math.min(parts - 1, Math.max(0, Math.floor((parts * (value - low)) / (high - low || 1))))]!++
  return counts
}
