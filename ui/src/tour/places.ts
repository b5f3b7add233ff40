// What the steps ask of a session: codes of images, a cloud's draws, tiles.
import type { Code, Core, Encoded, ModelIndex, Tile } from '../contract'
import { normals } from '../maths/draws'

export const stepOf = (core: Core, model: ModelIndex): number | null => core.state.models[model]?.step ?? null

/** An image's code under every model. */
export async function codesOf(core: Core, row: number): Promise<Encoded[]> {
  return (await core.backend.code(row, core.state.models.map((one) => one.step))).models
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

/** What one example of the data is called. */
export const thing = (core: Core): string => (core.session.data.image ? 'image' : 'row')
export const shownAs = (core: Core): string => (core.session.data.image ? 'picture' : 'row')

/** How wide the codes spread, clouds and all, beside N(0, I): the root of the mean variance. */
export const reach = (std: readonly number[], noise: readonly number[]): number =>
  Math.sqrt(std.reduce((sum, value, j) => sum + value * value + (noise[j] ?? 0), 0) / std.length)
