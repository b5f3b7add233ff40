// Sheets of samples: for each shown model what it makes of draws from the prior, from priors that were fitted, and from where its codes lie.
import type { Code, Fitted, ModelIndex, ModelInfo, State } from '../contract'
import { drawCodes } from '../maths/draws'

export const N = 16
export type Origin = 'prior' | 'codes' | `fitted ${string}`
/** `asks`: the codes come from the server, of the model's own prior or of a fitted one. */
export interface Sheet { key: string; model: ModelIndex; origin: Origin; title: string; codes: Code[]; asks: boolean; fitted: Fitted | null }

/** The models whose samples are shown: both where they are compared, so that one draw is seen through either. */
export function shownModels({ compare, morph, active }: Pick<State, 'compare' | 'morph' | 'active'>, models: readonly ModelInfo[]): ModelIndex[] {
  return models.length > 1 && (compare || morph !== null) ? [0, 1] : [active]
}

/** One origin after the other, so that two columns hold two models, or one model's two origins; then fitted priors. `steps`: where each
 *  model stands, null at its end, which alone has fitted ones. */
export function sheetsOf(models: readonly ModelInfo[], shown: readonly ModelIndex[], beside: boolean, { seed, temperature }: State['samples'], steps: readonly (number | null)[] = []): Sheet[] {
  const origins: Origin[] = beside ? ['prior', 'codes'] : ['prior']
  const drawn = origins.flatMap((origin) => shown.map((model) => {
    const { title, latent_dim, mean, std, standard_prior } = models[model]!
    const asks = origin === 'prior' && standard_prior === false
    const codes = asks ? [] : drawCodes(seed, N, latent_dim, temperature, ...(origin === 'codes' ? [mean, std] : []))
    return { key: `${model} ${origin}`, model, origin, title, codes, asks, fitted: null }
  }))
  const fitted = shown.flatMap((model) => ((steps[model] ?? null) === null ? models[model]!.priors ?? [] : []).map((one) => {
    const origin: Origin = `fitted ${one.name}`
    return { key: `${model} ${origin}`, model, origin, title: models[model]!.title, codes: [], asks: true, fitted: one }
  }))
  return [...drawn, ...fitted]
}

export function nameOf({ origin, asks, fitted }: Pick<Sheet, 'origin' | 'asks' | 'fitted'>, temperature: number): string {
  const heat = temperature === 1 ? '' : `, τ = ${temperature}`
  if (fitted) return `from ${fitted.name}, fitted to the codes${heat}`
  if (asks) return `z ~ p(z), its own prior${heat}`
  return origin === 'codes' ? 'from the codes' : `z ~ N(0, ${temperature === 1 ? 'I' : `${temperature}² I`})`
}

/** What a sample of a sheet is called. */
export function labelOf({ origin, fitted }: Pick<Sheet, 'origin' | 'fitted'>): string {
  if (fitted) return `sample from ${fitted.name}`
  return origin === 'codes' ? 'sample from the codes' : 'sample'
}
