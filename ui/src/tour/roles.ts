// Which model of a session plays which part in the tour, and what to type for a session that has both.
import type { ModelIndex, ModelInfo } from '../contract'

export type Role = 'autoencoder' | 'vae' | 'noisy'
export type Roles = Record<Role, ModelIndex | null>

export const COMMAND = 'legato explore runs/demo/autoencoder-2 runs/demo/vae-2'

export function roleOf({ has_density, prior_was_trained }: Pick<ModelInfo, 'has_density' | 'prior_was_trained'>): Role {
  if (!has_density) return 'autoencoder'
  return prior_was_trained ? 'vae' : 'noisy'
}

/** A model with a prior of its own plays none: the tour speaks of N(0, I). */
export function rolesOf(models: readonly Pick<ModelInfo, 'has_density' | 'prior_was_trained' | 'ready' | 'standard_prior'>[]): Roles {
  const found: Roles = { autoencoder: null, vae: null, noisy: null }
  models.forEach((model, m) => {
    if (model.ready && model.standard_prior !== false) found[roleOf(model)] ??= m as ModelIndex
  })
  return found
}
