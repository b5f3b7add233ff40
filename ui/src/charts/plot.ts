// A small chart of columns over steps: its ranges, its ticks, and a stroke for each pixel of however many steps.
import type { Row, Column } from './curves'

export interface Range { low: number; high: number }
export interface Box { left: number; top: number; width: number; height: number }
export interface Spot { x: number; y: number }
export interface Plot { box: Box; steps: Range; values: Range }

/** The multiples of 1, 2 or 5 · 10ᵏ within the range, at most `most` steps apart. */
export function ticks({ low, high }: Range, most: number): number[] {
  const rough = (high - low) / Math.max(1, most)
  if (!(rough > 0) || !Number.isFinite(rough)) return []
  const power = 10 ** Math.floor(Math.log10(rough))
  const apart = power * ([1, 2, 5].find((factor) => factor * power >= rough * (1 - 1e-9)) ?? 10)
  const first = Math.ceil(low / apart - 1e-9)
  const count = Math.floor(high / apart + 1e-9) - first + 1
  return Array.from({ length: Math.max(0, count) }, (_, i) => Number(((first + i) * apart).toPrecision(12)))
}

/** The curve's later part fills the chart: what is far above its middle half, as the first steps are, runs out of it. */
export function near(values: readonly number[]): Range {
  const sorted = [...values].sort((a, b) => a - b)
  const [low, high] = [sorted[0] ?? 0, sorted.at(-1) ?? 1]
  if (sorted.length < 8) return { low, high: high === low ? low + 1 : high }
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!
  const top = Math.min(high, at(0.75) + 3 * (at(0.75) - at(0.25)))
  const room = (top - low) * 0.06 || 0.5
  return { low: low - room, high: top + room }
}

/** From 0 to at least 1: for counts. */
export function fromZero(values: readonly number[]): Range {
  return { low: values.reduce((a, b) => Math.min(a, b), 0), high: Math.max(1, values.reduce((a, b) => Math.max(a, b), 0) * 1.1) }
}

export function plotOf(from: readonly Row[], columns: readonly Column[], box: Box, whole: boolean): Plot {
  const values = columns.flatMap((column) => from.map((row) => row[column] ?? null)).filter((value) => value !== null)
  const known = from.filter((row) => columns.some((column) => row[column] !== null))
  const [first, final] = [known[0]?.step ?? 0, known.at(-1)?.step ?? 1]
  return { box, steps: { low: first, high: final > first ? final : first + 1 }, values: (whole ? fromZero : near)(values) }
}

export const across = ({ box, steps }: Plot, step: number): number => box.left + ((step - steps.low) / (steps.high - steps.low)) * box.width
export const upward = ({ box, values }: Plot, value: number): number =>
  box.top + box.height * (1 - (value - values.low) / (values.high - values.low))
export const stepAt = ({ box, steps }: Plot, x: number): number =>
  steps.low + Math.min(1, Math.max(0, (x - box.left) / box.width)) * (steps.high - steps.low)

/** A column's line: of the steps within one pixel across the first, the lowest, the highest and the last. */
export function lineOf(plot: Plot, from: readonly Row[], column: Column): Spot[] {
  const spots = from.filter((row) => row[column] !== null).map((row) => ({ x: across(plot, row.step), y: upward(plot, row[column]!) }))
  const kept: Spot[] = []
  for (let i = 0, end = 0; i < spots.length; i = end) {
    let [low, high] = [i, i]
    for (end = i; end < spots.length && Math.floor(spots[end]!.x) === Math.floor(spots[i]!.x); end++) {
      if (spots[end]!.y < spots[low]!.y) low = end
      if (spots[end]!.y > spots[high]!.y) high = end
    }
    for (const k of new Set([i, Math.min(low, high), Math.max(low, high), end - 1])) kept.push(spots[k]!)
  }
  return kept
}

/** The row nearest to a step among those that have the column. */
export function rowNear(from: readonly Row[], column: Column, step: number): Row | null {
  return from.reduce<Row | null>(
    (best, row) => (row[column] !== null && (best === null || Math.abs(row.step - step) < Math.abs(best.step - step)) ? row : best), null,
  )
}

export function compact(value: number): string {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`
  return String(Number(value.toPrecision(4)))
}
