// While a hand leads one cursor, the other model's goes to its own code of the image that lies nearest: what is decoded there is
// of the same image, so that two pictures side by side are of one thing.
import { throttled } from './events'
import { covarianceAt, type Covariance } from './maths/clouds'
import { project } from './maths/planes'
import type { Backend, Encoded, ModelIndex, Plane, Points, State, Session } from './contract'

const EVERY = 60 // ms: the hand's own picture comes first

export interface Followed { row: number; leader: ModelIndex }
type Known = { backend: Backend; session: Session; state: State; points: (Points | null)[]; planes: (Plane | null)[] }

export class Follow {
  leader: ModelIndex | null = null
  followed: Followed | null = null
  #at: ArrayLike<number> = []
  #asked: number | null = null
  #busy = false

  constructor(private readonly core: Known, private readonly put: (model: ModelIndex, z: number[]) => void, private readonly failed: (error: unknown) => void) {}

  /** A hand has put this cursor at z; what follows is found at once where the maps show all there is to know. */
  lead(model: ModelIndex, z: ArrayLike<number>): void {
    this.leader = this.#wanted ? model : null
    this.#at = z
    if (this.leader !== null && z.length === 2) this.#find()
  }
  readonly #find = throttled(() => {
    if (this.leader === null) return
    const i = nearest(this.core, this.leader, this.#at)
    if (i !== null) this.#to(this.leader, this.core.points[this.leader]!.row[i]!, i)
  }, EVERY)

  /** What lies nearest to where the leader is has been found elsewhere. */
  located(model: ModelIndex, row: number | undefined): void {
    if (model === this.leader && row !== undefined && this.core.session.models[model]!.latent_dim !== 2) this.#to(model, row, null)
  }

  /** The cursors were moved otherwise: each is where it was put. */
  stop(): void {
    this.leader = this.followed = this.#asked = null
  }

  get #wanted(): boolean {
    const { compare, link, morph } = this.core.state
    return this.core.session.models.length > 1 && compare && link === 'image' && morph === null
  }

  #to(leader: ModelIndex, row: number, i: number | null): void {
    if (this.followed?.row === row && this.followed.leader === leader) return
    this.followed = { row, leader }
    const other = (1 - leader) as ModelIndex
    const z = i === null ? null : codeAt(this.core, other, i, row)
    if (z) this.put(other, z)
    else void this.#ask(row)
  }

  /** One question under way, and the newest that waits. */
  async #ask(row: number): Promise<void> {
    this.#asked = row
    if (this.#busy) return
    this.#busy = true
    try {
      for (let done: number | null = null; this.#asked !== null && this.#asked !== done; ) {
        const asked: number = (done = this.#asked)
        const { models } = await this.core.backend.code(asked, this.core.state.models.map(({ step }) => step))
        if (this.#asked === asked) this.#arrived(asked, models)
      }
    } catch (error) {
      this.failed(error)
    }
    this.#asked = null
    this.#busy = false
  }

  #arrived(row: number, models: Encoded[]): void {
    if (this.followed?.row !== row || !this.#wanted) return
    const other = (1 - this.followed.leader) as ModelIndex
    this.put(other, models[other]!.mu)
  }
}

/** The point nearest to z under a model of two latents, whitened as the server measures it (measures/whitening.py); or null. */
function nearest({ points, planes }: Known, model: ModelIndex, z: ArrayLike<number>): number | null {
  const [found, plane] = [points[model], planes[model]]
  if (!found?.n || !plane || plane.layout) return null
  const { a, b } = project(plane, z)
  const [aa, ab, bb] = precisionOf(found)
  let [best, least] = [-1, Infinity]
  for (let i = 0; i < found.n; i++) {
    const [x, y] = [found.xy[2 * i]! - a, found.xy[2 * i + 1]! - b]
    const far = aa * x * x + 2 * ab * x * y + bb * y * y
    if (far < least) [best, least] = [i, far]
  }
  return best
}

const known = new WeakMap<Points, Covariance>()

/** (Cov μ + E Σ)⁻¹ in the map's coordinates: what distances among codes are measured by. */
export function precisionOf(points: Points): Covariance {
  const found = known.get(points)
  if (found) return found
  const { n, xy } = points
  const [sum, squares] = [[0, 0] as [number, number], [0, 0, 0] as Covariance]
  for (let i = 0; i < n; i++) {
    const [a, b, cloud] = [xy[2 * i]!, xy[2 * i + 1]!, covarianceAt(points, i)]
    sum[0] += a / n
    sum[1] += b / n
    ;[a * a, a * b, b * b].forEach((value, c) => (squares[c]! += (value + cloud[c]!) / n))
  }
  const [aa, ab, bb] = [squares[0] - sum[0] ** 2, squares[1] - sum[0] * sum[1], squares[2] - sum[1] ** 2]
  const det = Math.max(aa * bb - ab * ab, 1e-30)
  const precision: Covariance = [bb / det, -ab / det, aa / det]
  known.set(points, precision)
  return precision
}

/** The code of the i-th point under a model of two latents, whose map shows all of it; or null. */
function codeAt({ session, points, planes }: Known, model: ModelIndex, i: number, row: number): number[] | null {
  const [found, plane] = [points[model], planes[model]]
  if (session.models[model]!.latent_dim !== 2 || !plane || found?.row[i] !== row) return null
  return [0, 1].map((j) => found.xy[2 * i]! * plane.u[j]! + found.xy[2 * i + 1]! * plane.v[j]!)
}
