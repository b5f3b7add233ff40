// Which point lies at a spot, and which lie in a lasso. The index is built when first needed: 10⁶ points take about a second.
import KDBush from 'kdbush'
import type { Extent, Points } from '../contract'
import type { Spot } from '../maths/camera'

export class Picking {
  #index: KDBush | null = null

  constructor(private readonly xy: Float32Array) {}

  get index(): KDBush {
    if (this.#index) return this.#index
    const index = new KDBush(this.xy.length / 2, 64, Float32Array)
    for (let i = 0; i < this.xy.length; i += 2) index.add(this.xy[i]!, this.xy[i + 1]!)
    return (this.#index = index.finish())
  }

  /** The nearest point within the radius that is shown, or −1. */
  nearest(a: number, b: number, radius: number, shown: (i: number) => boolean = () => true): number {
    let [best, least] = [-1, Infinity]
    for (const i of this.index.within(a, b, radius).filter(shown)) {
      const far = (this.xy[2 * i]! - a) ** 2 + (this.xy[2 * i + 1]! - b) ** 2
      if (far < least || (far === least && i < best)) [best, least] = [i, far]
    }
    return best
  }

  inside(polygon: readonly [number, number][], shown: (i: number) => boolean = () => true): number[] {
    const box = boxOf(polygon)
    return this.index.range(box.a0, box.b0, box.a1, box.b1).filter((i) => shown(i) && contains(polygon, this.xy[2 * i]!, this.xy[2 * i + 1]!)).sort((a, b) => a - b)
  }
}

function boxOf(polygon: readonly [number, number][]): Extent {
  const [as, bs] = [polygon.map(([a]) => a), polygon.map(([, b]) => b)]
  return { a0: Math.min(...as), a1: Math.max(...as), b0: Math.min(...bs), b1: Math.max(...bs) }
}

/** Even-odd rule. */
export function contains(polygon: readonly [number, number][], a: number, b: number): boolean {
  let inside = false
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [[ai, bi], [aj, bj]] = [polygon[i]!, polygon[j]!]
    if (bi > b !== bj > b && a < ((aj - ai) * (b - bi)) / (bj - bi) + ai) inside = !inside
  }
  return inside
}

/** The shown points by place and by row; `key` says which layout the places belong to. */
export class Finder {
  #layout: { key: string; picking: Picking } | null = null
  #byRow: Int32Array | null = null

  constructor(readonly points: Points, private readonly rows: number) {}

  /** By map coordinates. */
  still(): Picking { return this.#keep('still', () => this.points.xy) }

  /** By pixels, while one layout is on its way to the other. */
  moving(key: string, spot: (i: number) => Spot): Picking {
    return this.#keep(key, () => {
      const xy = new Float32Array(2 * this.points.n)
      for (let i = 0; i < this.points.n; i++) {
        const { x, y } = spot(i)
        xy[2 * i] = x
        xy[2 * i + 1] = y
      }
      return xy
    })
  }

  #keep(key: string, places: () => Float32Array): Picking {
    if (this.#layout?.key !== key) this.#layout = { key, picking: new Picking(places()) }
    return this.#layout.picking
  }

  /** The index of an image's point, or −1: the map may show a sample. */
  indexOf(row: number): number {
    if (!this.#byRow) {
      this.#byRow = new Int32Array(this.rows).fill(-1)
      for (let i = 0; i < this.points.n; i++) this.#byRow[this.points.row[i]!] = i
    }
    return this.#byRow[row] ?? -1
  }
}
