// Pairs of images, and what the ways between their codes are like: which of them lead through a hole.
import { uniform } from '../maths/draws'
import type { Examples, Ways } from './questions'

export type Pair = [number, number]
export const MOST = 45
const IMAGES = 12 // that pairs are made of

/** At most 45 pairs of different classes (of any, where all are of one), in one random order. */
export function pairsOf({ rows, labels }: Pick<Examples, 'rows' | 'labels'>): Pair[] {
  const few = rows.slice(0, IMAGES)
  const all = few.flatMap((_, i) => few.slice(i + 1).map((_, j) => [i, i + 1 + j] as const))
  const differ = all.filter(([i, j]) => labels[i] !== labels[j])
  return shuffled(differ.length ? differ : all).slice(0, MOST).map(([i, j]) => [rows[i]!, rows[j]!])
}

function shuffled<T>(items: readonly T[]): T[] {
  const next = uniform(1)
  return items.map((item) => [next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item)
}

/** Whether a place comes back from elsewhere than 99 in 100 held-out codes do; a place where the decoder fails does. */
export const strays = (error: number | null, threshold: number): boolean => error === null || error > threshold

/** A hole: a place that does not come back, where no data lies either. */
export function holesOf({ errors, inside, threshold }: Ways, way: number): boolean[] {
  return errors[way]!.map((error, i) => strays(error, threshold) && !inside[way]![i]!)
}

export interface Found { way: number; cell: number; error: number | null }

/** The deepest hole of all ways, null where there is none. */
export function deepest(ways: Ways): Found | null {
  let best: Found | null = null
  ways.errors.forEach((errors, way) => holesOf(ways, way).forEach((hole, cell) => {
    const error = errors[cell]!
    if (hole && (best === null || depth(error) > depth(best.error))) best = { way, cell, error }
  }))
  return best
}
const depth = (error: number | null): number => error ?? Infinity

export const throughHoles = (ways: Ways): number => ways.errors.filter((_, way) => holesOf(ways, way).some(Boolean)).length

/** The middle of a cell, as a share of the way. */
export const middleOf = (cell: number, cells: number): number => (cell + 0.5) / cells
