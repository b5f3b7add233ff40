// What the steps ask of a visit: codes of images, a cloud's draws, tiles.
import type { Code, Core, Encoded, ModelIndex, Tile } from '../contract'
import { normals } from '../panels/draws'
import { pairOf } from './roles'

export const stepOf = (core: Core, model: ModelIndex): number | null => core.state.models[model]?.step ?? null

/** The codes of two images of different classes under every model. */
export async function twoCodes(core: Core, model: ModelIndex, nth: number): Promise<{ rows: [number, number]; codes: [Encoded[], Encoded[]] } | null> {
  const points = core.points[model]
  const pair = points ? pairOf(points, nth) : null
  if (!pair) return null
  const steps = core.state.models.map((one) => one.step)
  const [first, second] = await Promise.all(pair.rows.map((row) => core.backend.code(row, steps)))
  return { rows: pair.rows, codes: [first!.models, second!.models] }
}

/** μ + scale ⊙ ε for n draws of a seed. */
export function cloud(mu: readonly number[], scale: readonly number[], n: number, seed: number): Code[] {
  const noise = normals(seed, n * mu.length)
  return Array.from({ length: n }, (_, i) => Float32Array.from(mu, (value, j) => value + scale[j]! * noise[i * mu.length + j]!))
}

export function decodedAt(core: Core, model: ModelIndex, codes: readonly ArrayLike<number>[]): Promise<Tile[]> {
  return core.backend.decode(model, stepOf(core, model), codes.map((code) => Float32Array.from(code)))
}

/** Calls `done` when points of the model are there: at once, or when they arrive. */
export function whenMapped(core: Core, model: ModelIndex, done: () => void): () => void {
  if (core.points[model]) {
    done()
    return () => {}
  }
  const off = core.on('points', (which) => {
    if (which !== model || !core.points[model]) return
    off()
    done()
  })
  return off
}

/** An equal share of the spread of another model's codes: σ of one cloud in units of that model's deviations, in this one's. */
export const inSpread = (sigma: readonly number[], from: readonly number[], to: readonly number[]): number[] => {
  const shares = sigma.map((value, j) => value / (from[j] || 1))
  const share = Math.exp(shares.reduce((sum, value) => sum + Math.log(value), 0) / shares.length)
  return to.map((value) => share * value)
}
