// Decoded tiles on a lattice of places, and what lies between them: a cross-fade of the four nearest.
import type { Extent, Tile } from '../contract'
import type { Sheet } from './embedded'

export const OUTSIDE = 'outside what this file holds'

/** Where a place falls on one axis: the tile before it and the share of the next; null beyond the first and the last. */
export function between(value: number, low: number, high: number, n: number): [number, number] | null {
  const at = ((value - low) / (high - low)) * (n - 1)
  const slack = 1e-6 * n // a place read back from an address has seven digits
  if (!(at >= -slack && at <= n - 1 + slack)) return null
  const first = Math.min(n - 2, Math.max(0, Math.floor(at)))
  return [first, Math.min(1, Math.max(0, at - first))]
}

export class Atlas {
  readonly columns: number
  readonly #failed: Set<number>

  /** `pixels`: the whole sheet's rgba, `columns` × `rows` tiles; the first row of tiles lies at b0. */
  constructor(
    readonly sheet: Omit<Sheet, 'image'> & { rows: number; failed: readonly number[] },
    private readonly pixels: Uint8ClampedArray, readonly extent: Extent,
  ) {
    this.columns = sheet.columns
    this.#failed = new Set(sheet.failed)
  }

  at(a: number, b: number): Tile {
    const { width, height, rows } = this.sheet
    const across = between(a, this.extent.a0, this.extent.a1, this.columns)
    const up = between(b, this.extent.b0, this.extent.b1, rows)
    if (!across || !up) return { width, height, rgba: null, values: null, failed: OUTSIDE }
    return this.#faded(across, up)
  }

  #faded([i, x]: [number, number], [j, y]: [number, number]): Tile {
    const { width, height } = this.sheet
    const corners: [number, number, number][] = [[i, j, (1 - x) * (1 - y)], [i + 1, j, x * (1 - y)], [i, j + 1, (1 - x) * y], [i + 1, j + 1, x * y]]
    const used = corners.filter(([, , share]) => share > 0)
    const failed = used.some(([column, row]) => this.#failed.has(row * this.columns + column))
    if (failed) return { width, height, rgba: null, values: null, failed: 'the decoder gives no finite number here' }
    const sum = new Float32Array(4 * width * height)
    for (const [column, row, share] of used) this.#add(sum, column, row, share)
    return { width, height, rgba: Uint8ClampedArray.from(sum), values: null, failed: null }
  }

  #add(sum: Float32Array, column: number, row: number, share: number): void {
    const { width, height } = this.sheet
    const across = 4 * width * this.columns
    for (let y = 0; y < height; y++) {
      const from = (row * height + y) * across + 4 * column * width
      const to = 4 * y * width
      for (let x = 0; x < 4 * width; x++) sum[to + x]! += share * this.pixels[from + x]!
    }
  }
}
