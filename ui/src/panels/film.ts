// What a path shows: decoded examples at equal steps of t, how far each step goes, and whether the data goes there.
import type { Backend, ModelIndex, Tile } from '../contract'
import { frames } from '../maths/interpolation'
import { stepLengths } from './pixels'
import type { Current } from './newest'

export const FRAMES = 12

export interface Ground { support: number; inside: boolean; unit: string }
export interface Film { codes: number[][]; tiles: Tile[]; steps: (number | null)[]; ground: (Ground | null)[] }

/** Decodes the path, then asks for its ground frame by frame; `told` hears each state of the film until it is superseded. */
export async function develop(
  backend: Backend, model: ModelIndex, step: number | null, stops: readonly number[][], spherical: boolean, current: Current, told: (film: Film) => void,
): Promise<void> {
  const codes = frames(stops, FRAMES, spherical)
  const tiles = await backend.decode(model, step, codes.map((code) => Float32Array.from(code)))
  const film: Film = { codes, tiles, steps: stepLengths(tiles), ground: codes.map(() => null) }
  if (current()) told({ ...film, ground: [...film.ground] })
  for (const [i, code] of codes.entries()) {
    if (!current()) return
    const { support, inside, unit } = await backend.locate(model, step, Float32Array.from(code), 1)
    film.ground[i] = { support, inside, unit }
    if (current()) told({ ...film, ground: [...film.ground] })
  }
}

/** A, B, … Z, A2, … */
export function letter(index: number): string {
  return String.fromCharCode(65 + (index % 26)) + (index < 26 ? '' : String(Math.floor(index / 26) + 1))
}

/** The list with the item at `from` moved by `by` places, as far as there are any. */
export function moved<T>(items: readonly T[], from: number, by: number): T[] {
  const to = Math.max(0, Math.min(items.length - 1, from + by))
  const kept = items.filter((_, i) => i !== from)
  return [...kept.slice(0, to), items[from]!, ...kept.slice(to)]
}
