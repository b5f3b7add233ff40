// Where decoding is slow, the nearest of some tiles of the shown plane stands in until the answer comes. They are decoded while
// the hand rests, a few at a time, from coarse to fine.
import type { Backend, Extent, ModelIndex, Plane, Tile } from './contract'
import { lattice, project } from './maths/planes'

export const SLOW = 200 // milliseconds from the hand to pixels, 95th percentile
const ENOUGH = 20 // answers before that is believed
const SIZES = [4, 8, 16]
const FEW = 4 // tiles of one request: a cursor may have to wait for them
const REST = 500

export interface Wanted { step: number | null; plane: Plane; extent: Extent }
interface Sheet { key: string; plane: Plane; step: number | null; known: { a: number; b: number; tile: Tile }[]; left: Float32Array[] }

export const isSlow = ({ p95, shown }: { p95: number; shown: number }): boolean => shown >= ENOUGH && p95 > SLOW

export class Preview {
  readonly #sheets: (Sheet | undefined)[] = []
  readonly #timers: ReturnType<typeof setTimeout>[] = []
  #turn = 0

  constructor(private readonly backend: Pick<Backend, 'decode'>) {}

  /** The tile nearest to z of those that are known of its plane. */
  near(model: ModelIndex, wanted: Omit<Wanted, 'extent'>, z: ArrayLike<number>): Tile | null {
    const sheet = this.#sheets[model]
    if (sheet?.key !== keyOf(wanted)) return null
    const at = project(wanted.plane, z)
    const distance = ({ a, b }: { a: number; b: number }) => Math.hypot(a - at.a, b - at.b)
    return sheet.known.reduce<Sheet['known'][number] | null>((best, one) => (best && distance(best) <= distance(one) ? best : one), null)?.tile ?? null
  }

  /** The hand moves: nothing more is asked. */
  stop(): void {
    this.#turn++
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** Decodes what is missing of a plane's tiles once the hand has rested for a while. */
  rest(model: ModelIndex, wanted: Wanted): void {
    const turn = this.#turn
    clearTimeout(this.#timers[model])
    this.#timers[model] = setTimeout(() => void this.#fill(this.#sheetOf(model, wanted), model, turn).catch(() => {}), REST) // a help, no more
  }

  #sheetOf(model: ModelIndex, { step, plane, extent }: Wanted): Sheet {
    const key = keyOf({ step, plane })
    const known = this.#sheets[model]
    if (known?.key === key) return known
    return (this.#sheets[model] = { key, plane, step, known: [], left: SIZES.flatMap((size) => lattice(plane, extent, size)) })
  }

  async #fill(sheet: Sheet, model: ModelIndex, turn: number): Promise<void> {
    while (sheet.left.length && turn === this.#turn) {
      const codes = sheet.left.slice(0, FEW)
      const tiles = await this.backend.decode(model, sheet.step, codes)
      sheet.left.splice(0, codes.length)
      tiles.forEach((tile, i) => tile.failed === null && sheet.known.push({ ...project(sheet.plane, codes[i]!), tile }))
    }
  }
}

const keyOf = ({ step, plane }: Omit<Wanted, 'extent'>): string => JSON.stringify([step, plane])
