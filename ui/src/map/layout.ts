// A layout has no inverse: no place but a point's stands for a code, so the cursor is drawn at an image's, and pointing picks one.
import type { Stop } from '../contract'
import type { Spot } from '../maths/camera'

type Numbers = ArrayLike<number>

/** The selected image while its code mu is on its way, or the cursor z is on it; else null. */
export function held(selected: number | null, mu: Numbers | null, z: Numbers): number | null {
  return mu === null || Array.from(mu).every((value, i) => Math.abs(value - z[i]!) < 1e-6) ? selected : null
}

/** The point nearest to a place that is shown, at any distance, or −1 where there is none. */
export function closest(xy: Numbers, a: number, b: number, shown: (i: number) => boolean = () => true): number {
  let [best, least] = [-1, Infinity]
  for (let i = 0; 2 * i < xy.length; i++) {
    const far = (xy[2 * i]! - a) ** 2 + (xy[2 * i + 1]! - b) ** 2
    if (far < least && shown(i)) [best, least] = [i, far]
  }
  return best
}

/** The nearest point in a direction (a unit vector, and 45° to either side of it), at least so far along it, or −1. */
export function ahead(xy: Numbers, from: number, [da, db]: readonly [number, number], atLeast: number, shown: (i: number) => boolean = () => true): number {
  let [best, least] = [-1, Infinity]
  for (let i = 0; 2 * i < xy.length; i++) {
    const [x, y] = [xy[2 * i]! - xy[2 * from]!, xy[2 * i + 1]! - xy[2 * from + 1]!]
    const [along, across, far] = [x * da + y * db, Math.abs(y * da - x * db), x * x + y * y]
    if (i !== from && along >= atLeast && across <= along && far < least && shown(i)) [best, least] = [i, far]
  }
  return best
}

/** The stops of a path that are images with a point; what lies between them has no place. */
export function stopsAt(path: readonly Stop[], spotOf: (row: number) => Spot | null): { spot: Spot | null; name: string }[] {
  return path.map(({ row, name }) => ({ spot: row === null ? null : spotOf(row), name }))
}

/** Selects images, one under way and the newest that waits: what it replaces is never selected. */
export class Choosing {
  wanted: number | null = null
  #busy = false

  constructor(private readonly select: (row: number) => Promise<void>) {}

  async choose(row: number): Promise<void> {
    this.wanted = row
    if (this.#busy) return
    this.#busy = true
    for (let done: number | null = null; this.wanted !== done; ) await this.select((done = this.wanted)).catch(() => {})
    this.wanted = null
    this.#busy = false
  }
}
