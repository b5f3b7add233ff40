// Sheets of samples: for each shown model what it makes of draws from the prior, and of draws from where its codes lie.
import type { Code, ModelIndex, ModelInfo, State } from '../contract'
import { drawCodes } from './draws'

export const N = 16
export type Origin = 'prior' | 'codes'
export interface Sheet { key: string; model: ModelIndex; origin: Origin; title: string; codes: Code[] }

/** The models whose samples are shown: both where they are compared, so that one draw is seen through either. */
export function shownModels({ compare, morph, active }: Pick<State, 'compare' | 'morph' | 'active'>, models: readonly ModelInfo[]): ModelIndex[] {
  return models.length > 1 && (compare || morph !== null) ? [0, 1] : [active]
}

/** One origin after the other, so that two columns hold two models, or one model's two origins. */
export function sheetsOf(models: readonly ModelInfo[], shown: readonly ModelIndex[], beside: boolean, { seed, temperature }: State['samples']): Sheet[] {
  const origins: Origin[] = beside ? ['prior', 'codes'] : ['prior']
  return origins.flatMap((origin) => shown.map((model) => {
    const { title, latent_dim, mean, std } = models[model]!
    const codes = drawCodes(seed, N, latent_dim, temperature, ...(origin === 'codes' ? [mean, std] : []))
    return { key: `${model} ${origin}`, model, origin, title, codes }
  }))
}

export function nameOf(origin: Origin, temperature: number): string {
  return origin === 'codes' ? 'from the codes' : `z ~ N(0, ${temperature === 1 ? 'I' : `${temperature}² I`})`
}
