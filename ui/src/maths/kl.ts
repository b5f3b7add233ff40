// The KL of N(μ, σ²) from N(0, 1) in closed form, where it pulls, and the toy on which a gradient is estimated (docs/theory.md, 3 and 4).

/** ½(μ² + σ² − 1 − log σ²), nats; written so that near σ = 1 nothing cancels. */
export function kl(mu: number, logSigma: number): number {
  return 0.5 * (mu * mu + Math.expm1(2 * logSigma) - 2 * logSigma)
}
/** ∂KL/∂μ = μ. */
export const klByMu = (mu: number): number => mu
/** ∂KL/∂log σ = σ² − 1. */
export const klByLogSigma = (logSigma: number): number => Math.expm1(2 * logSigma)

/** Summed over dimensions. */
export function klOf(mu: ArrayLike<number>, sigma: ArrayLike<number>): number {
  let sum = 0
  for (let j = 0; j < mu.length; j++) sum += kl(mu[j]!, Math.log(sigma[j]!))
  return sum
}

/** One step downhill on the KL alone: μ ← μ − ημ, log σ ← log σ − η(σ² − 1). */
export function pulled(mu: number, logSigma: number, rate: number): [number, number] {
  return [mu - rate * klByMu(mu), logSigma - rate * klByLogSigma(logSigma)]
}

export interface Gradient { mean: number; variance: number }
export interface Toy { truth: number; pathwise: Gradient; score: Gradient }

/** ∂/∂μ E z², z ~ N(μ, σ²), exactly: 2μ; one draw's variance is 4σ² pathwise and σ²(m⁴ + 14m² + 15), m = μ/σ, by the score. */
export function exactToy(mu: number, sigma: number): Toy {
  const m = mu / sigma
  const truth = 2 * mu
  const score = sigma * sigma * (m ** 4 + 14 * m * m + 15)
  return { truth, pathwise: { mean: truth, variance: 4 * sigma * sigma }, score: { mean: truth, variance: score } }
}

/** The same from draws ε: pathwise f′(z) = 2z; by the score f(z)(z − μ)/σ² = z²ε/σ. */
export function estimatedToy(mu: number, sigma: number, noise: ArrayLike<number>): Toy {
  const z = Array.from(noise, (epsilon) => mu + sigma * epsilon)
  const score = z.map((value, i) => (value * value * noise[i]!) / sigma)
  return { truth: 2 * mu, pathwise: moments(z.map((value) => 2 * value)), score: moments(score) }
}

function moments(values: number[]): Gradient {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, variance: values.length > 1 ? squares / (values.length - 1) : NaN }
}
