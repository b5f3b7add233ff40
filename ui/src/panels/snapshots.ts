// Time for a run's snapshots: one after another, each shown for a while once its map is there. Who asked for less motion gets one
// at each press instead.
import type { Core, ModelIndex } from '../contract'

export const SHOWN = 700 // milliseconds

/** The snapshots in order and after them, of a finished run, the finished model (null). */
export const stations = (snapshots: readonly number[], finished: boolean): (number | null)[] => [...snapshots, ...(finished ? [null] : [])]

/** The station after this one; undefined after the last. A step that was not kept counts as the next one that was. */
export function after(all: readonly (number | null)[], step: number | null): number | null | undefined {
  const at = all.findIndex((one) => one === step || (one !== null && step !== null && one >= step))
  return at < 0 ? undefined : all[at + 1]
}

/** Resolves when the points of this model's next map are drawn, or nobody waits any more. */
export function mapped(core: Pick<Core, 'on'>, model: ModelIndex, left: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const off = core.on('points', (which) => which === model && end())
    const end = () => {
      off()
      resolve()
    }
    left.addEventListener('abort', end, { once: true })
  })
}

/** Shows every station from the one after `from`, from the first where that is the last; true where it came to the end. */
export async function play(
  all: readonly (number | null)[], from: number | null, show: (step: number | null) => Promise<void>, pause: () => Promise<void>, left: AbortSignal,
): Promise<boolean> {
  let step = after(all, from)
  if (step === undefined) step = all[0]
  for (; step !== undefined && !left.aborted; step = after(all, step)) {
    await show(step)
    if (!left.aborted) await pause()
  }
  return !left.aborted
}
