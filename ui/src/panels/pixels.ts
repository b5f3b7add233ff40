// Arithmetic on decoded tiles: pixels in 0 … 1 (a picture) or a table's row in standard deviations of its columns.
import type { Tile } from '../contract'

/** What a tile shows, as numbers: red, green, blue of each pixel, or the row's values in standard deviations of their columns; null where it failed. */
export function numbers(tile: Tile): Float32Array | null {
  if (tile.failed !== null) return null
  if (tile.values) return tile.standard ?? tile.values
  if (!tile.rgba) return null
  const found = new Float32Array(tile.width * tile.height * 3)
  for (let i = 0; i < found.length; i++) found[i] = (tile.rgba[Math.floor(i / 3) * 4 + (i % 3)] ?? 0) / 255
  return found
}

/** √mean (a − b)² over pixels and colours (or values); null where one failed or their sizes differ. */
export function rms(a: Tile, b: Tile): number | null {
  const [x, y] = [numbers(a), numbers(b)]
  if (!x || !y || !x.length || x.length !== y.length) return null
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += (x[i]! - y[i]!) ** 2
  return Math.sqrt(sum / x.length)
}

/** The step from each tile to the next. */
export function stepLengths(tiles: readonly Tile[]): (number | null)[] {
  return tiles.slice(1).map((tile, i) => rms(tiles[i]!, tile))
}

export interface Difference { width: number; height: number; values: Float32Array; peak: number; rms: number }

/** b − a: of a picture the mean over its colours at each pixel; the RMS is over pixels and colours. */
export function difference(a: Tile, b: Tile): Difference | null {
  const [x, y, error] = [numbers(a), numbers(b), rms(a, b)]
  if (!x || !y || error === null) return null
  const colours = a.values ? 1 : 3
  const values = new Float32Array(x.length / colours)
  for (let i = 0; i < x.length; i++) values[Math.floor(i / colours)]! += (y[i]! - x[i]!) / colours
  const peak = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return { width: b.width, height: b.height, values, peak, rms: error }
}

export interface Diverging { below: number[]; zero: number[]; above: number[] } // blue: x̂ is darker than x; red: brighter
export const ON_LIGHT: Diverging = { below: [33, 102, 172], zero: [247, 247, 247], above: [178, 24, 43] }
export const ON_DARK: Diverging = { below: [103, 177, 255], zero: [28, 32, 40], above: [255, 122, 112] }

/** Diverging colours of values in −peak … peak: blue, the ground's own at 0, red. */
export function diverging(values: ArrayLike<number>, peak: number, { below, zero, above } = ON_LIGHT): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(values.length * 4)
  for (let i = 0; i < values.length; i++) {
    const share = peak > 0 ? Math.min(1, Math.max(-1, (values[i] ?? 0) / peak)) : 0
    const end = share < 0 ? below : above
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = zero[c]! + Math.abs(share) * (end[c]! - zero[c]!)
    rgba[4 * i + 3] = 255
  }
  return rgba
}
