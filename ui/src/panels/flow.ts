// What a code's picture shows: each latent's μ, σ, ε and z, and what they come to together.
import type { Encoded, ModelInfo } from '../contract'
import { kl } from '../maths/kl'

export interface Lane { index: number; mu: number | null; sigma: number | null; noise: number | null; z: number; kl: number | null; low: number; high: number }
const SPAN = 3 // deviations of the codes to either side

/** The latents that vary most, at most so many. ε = (z − μ)/σ; null where there is no image or no cloud. */
export function lanes(info: Pick<ModelInfo, 'mean' | 'std' | 'noise' | 'has_density' | 'prior_was_trained' | 'standard_prior'>, code: Encoded | null, z: readonly number[], most: number): Lane[] {
  const priced = info.prior_was_trained && info.standard_prior !== false // the closed form is the KL to N(0, I), no other prior's
  const order = z.map((_, j) => j).sort((a, b) => (info.std[b] ?? 0) - (info.std[a] ?? 0) || a - b).slice(0, most).sort((a, b) => a - b)
  return order.map((index) => {
    const reach = SPAN * Math.hypot(info.std[index] ?? 1, Math.sqrt(info.noise[index] ?? 0)) || 1
    const [mu, sigma] = [code?.mu[index] ?? null, info.has_density ? (code?.sigma[index] ?? null) : null]
    const clouded = mu !== null && sigma !== null && sigma > 0
    return {
      index, mu, sigma, z: z[index]!, low: (info.mean[index] ?? 0) - reach, high: (info.mean[index] ?? 0) + reach,
      noise: clouded ? (z[index]! - mu) / sigma : null, kl: clouded && priced ? kl(mu, Math.log(sigma)) : null,
    }
  })
}

/** √ of the mean of ((z − μ)/scale)²: how far a code lies from an image's own, in widths of its cloud or of the codes. */
export function apart(code: Encoded, z: readonly number[], scale: readonly number[]): number {
  return Math.sqrt(z.reduce((sum, value, j) => sum + ((value - code.mu[j]!) / (scale[j] || 1)) ** 2, 0) / z.length)
}

/** The network in a few words: what the recipe says of it. */
export function network(words: Record<string, unknown>): string {
  const size = [words.width, words.depth].filter((word) => typeof word === 'number').join(' × ')
  return [typeof words.net === 'string' ? words.net : '', size].filter(Boolean).join(', ')
}
