// Which model of a visit plays which part in the tour, and what to type where one is missing.
import type { ModelIndex, ModelInfo, Points } from '../contract'

export type Role = 'autoencoder' | 'vae' | 'noisy'
export type Roles = Record<Role, ModelIndex | null>

export const NAMES: Record<Role, string> = { autoencoder: 'an autoencoder', vae: 'a VAE', noisy: 'noise without the KL' }
export const COMMAND = 'legato explore runs/demo/autoencoder-2 runs/demo/vae-2'
export const NOISY_COMMAND = 'legato explore runs/demo/noisy_autoencoder-2 runs/demo/vae-2'

export function roleOf({ has_density, prior_was_trained }: Pick<ModelInfo, 'has_density' | 'prior_was_trained'>): Role {
  if (!has_density) return 'autoencoder'
  return prior_was_trained ? 'vae' : 'noisy'
}

export function rolesOf(models: readonly Pick<ModelInfo, 'has_density' | 'prior_was_trained' | 'ready'>[]): Roles {
  const found: Roles = { autoencoder: null, vae: null, noisy: null }
  models.forEach((model, m) => {
    if (model.ready) found[roleOf(model)] ??= m as ModelIndex
  })
  return found
}

export interface Pair { rows: [number, number]; places: [number, number] }

/** Two images of different classes (of any, where there are no labels), the n-th such pair in the map's random order. */
export function pairOf(points: Pick<Points, 'n' | 'row' | 'label'>, nth = 0): Pair | null {
  if (points.n < 2) return null
  const first = (2 * nth) % points.n
  for (let by = 1; by < points.n; by++) {
    const second = (first + by) % points.n
    const differ = points.label[first] !== points.label[second] || points.label[first] === 65535
    if (differ) return { rows: [points.row[first]!, points.row[second]!], places: [first, second] }
  }
  return { rows: [points.row[first]!, points.row[(first + 1) % points.n]!], places: [first, (first + 1) % points.n] }
}
