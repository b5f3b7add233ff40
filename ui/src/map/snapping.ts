// The cursor of a layout: which point it is drawn at, and which image a hand or a key chooses.
import type { ModelIndex } from '../contract'
import type { ViewerCore } from '../core'
import { ahead, Choosing, closest, held } from './layout'
import type { Finder } from './picking'

export class Snapping {
  readonly #choosing: Choosing

  constructor(private readonly core: ViewerCore, private readonly model: ModelIndex, private readonly finder: () => Finder | null, private readonly shows: (i: number) => boolean) {
    this.#choosing = new Choosing((row) => core.select(row))
  }

  /** An image's point, or −1. */
  indexOf(row: number | null | undefined): number { return row === null || row === undefined ? -1 : (this.finder()?.indexOf(row) ?? -1) }

  /** The point that the cursor is drawn at: the chosen image's, else of what lies nearest; or −1. */
  get index(): number {
    const chosen = this.indexOf(this.#held)
    return chosen >= 0 ? chosen : this.indexOf(this.core.located[this.model]?.rows[0])
  }

  get #held(): number | null {
    const { state, encoded } = this.core
    return this.#choosing.wanted ?? held(state.selected, encoded[this.model]?.mu ?? null, state.models[this.model]!.cursor)
  }

  choose(i: number): void {
    const row = i < 0 ? null : this.finder()!.points.row[i]!
    if (row !== null && row !== this.#held) void this.#choosing.choose(row)
  }

  /** The point nearest to a place of the map at any distance, or −1. */
  closest(a: number, b: number): number {
    const points = this.finder()?.points
    return points ? closest(points.xy, a, b, this.shows) : -1
  }

  /** Chooses the nearest point in a direction that is as far away as this goes. */
  step(da: number, db: number): void {
    const [from, far] = [this.index, Math.hypot(da, db)]
    if (from >= 0) this.choose(ahead(this.finder()!.points.xy, from, [da / far, db / far], far, this.shows))
  }
}
