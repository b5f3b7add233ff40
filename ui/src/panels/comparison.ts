// What each model gives back of a row of the source, or of a picture that a person brought, beside it.
import type { Brought, ModelIndex, Tile } from '../contract'
import type { ViewerCore } from '../core'
import type { Current } from './newest'
import { pictureAt } from './picture'
import { difference, type Difference } from './pixels'

export interface Pair { model: ModelIndex; before: Tile; after: Tile; lost: Difference | null }

/** By the models as they are shown, at their steps; null where nobody waits any more. */
export async function ofRow(core: ViewerCore, row: number, current: Current): Promise<Pair[] | null> {
  const steps = core.state.models.map((model) => model.step)
  const { models } = await core.backend.code(row, steps)
  const own = core.session.data.image ? null : await core.backend.row(row)
  return paired(core, models.map(({ mu }) => mu), steps, async (after) => own ?? pictureAt(core.backend.image(row), after.width, after.height), current)
}

/** By the finished models, which encoded it. */
export async function ofPicture(core: ViewerCore, { image, models }: Brought, current: Current): Promise<Pair[] | null> {
  return paired(core, models.map(({ mu }) => mu), models.map(() => null), (after) => pictureAt(image, after.width, after.height), current)
}

async function paired(
  core: ViewerCore, codes: number[][], steps: (number | null)[], original: (after: Tile) => Promise<Tile>, current: Current,
): Promise<Pair[] | null> {
  const pairs: Pair[] = []
  for (const [m, mu] of codes.entries()) {
    const [after] = await core.backend.decode(m as ModelIndex, steps[m] ?? null, [Float32Array.from(mu)])
    if (!after || !current()) return null
    const before = await original(after)
    pairs.push({ model: m as ModelIndex, before, after, lost: difference(before, after) })
  }
  return current() ? pairs : null
}
