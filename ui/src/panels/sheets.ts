// Sheets of samples: for each shown model what it makes of draws from the prior, and of draws from where its codes lie.
import type { Code, ModelIndex, ModelInfo, State } from '../contract'
import { drawCodes } from '../maths/draws'

export const N = 16
export type Origin = 'prior' | 'codes'
/** `own`: the prior is the model's own, and the codes come from the server. */
export interface Sheet { key: string; model: ModelIndex; origin: Origin; title: string; codes: Code[]; own: boolean }

/** The models whose samples are shown: both where they are compared, so that one draw is seen through either. */
export function shownModels({ compare, morph, active }: Pick<State, 'compare' | 'morph' | 'active'>, models: readonly ModelInfo[]): ModelIndex[] {
  return models.length > 1 && (compare || morph !== null) ? [0, 1] : [active]
}

/** One origin after the other, so that two columns hold two models, or one model's two origins. */
export function sheetsOf(models: readonly ModelInfo[], shown: readonly ModelIndex[], beside: boolean, { seed, temperature }: State['samples']): Sheet[] {
  const origins: Origin[] = beside ? ['prior', 'codes'] : ['prior']
  return origins.flatMap((origin) => shown.map((model) => {
    const { title, latent_dim, mean, std, standard_prior } = models[model]!
    const own = origin === 'prior' && standard_prior === false
    const codes = own ? [] : drawCodes(seed, N, latent_dim, temperature, ...(origin === 'codes' ? [mean, std] : []))
    return { key: `${model} ${origin}`, model, origin, title, codes, own }
  }))
}

export function nameOf({ origin, own }: Pick<Sheet, 'origin' | 'own'>, temperature: number): string {
  if (own) return `z ~ p(z), its own prior${temperature === 1 ? '' : `, τ = ${temperature}`}`
  return origin === 'codes' ? 'from the codes' : `z ~ N(0, ${temperature === 1 ? 'I' : `${temperature}² I`})`
}
