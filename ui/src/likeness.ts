// Whether a person's picture is like the data, in words: from what was measured of it, and of held-out pictures.
import type { Brought, Finding } from './contract'

export type Likeness = 'unlike' | 'rare' | 'alike'
export interface Verdict { likeness: Likeness; words: string }
const RARE = 0.01 // the share of held-out pictures below which a finding is rare

const WORDS: Record<Likeness, string> = {
  unlike: 'not like the data', rare: 'unusual for the data', alike: 'like the data, as far as these tests see',
}
const NAMES: Record<Finding['name'], (title: string) => string> = {
  error: (title) => `error of what ${title} gives back (RMS)`,
  support: (title) => `how densely the codes of ${title} lie around its code (nats)`,
  nearest: () => 'difference from the nearest picture of the data (RMS)',
  brightness: () => 'brightness (mean of its values)',
  contrast: () => 'contrast (spread of its values)',
}

export const likenessOf = ({ odd, share }: Finding): Likeness => (odd ? 'unlike' : share < RARE ? 'rare' : 'alike')
export const nameOf = (finding: Finding, title = 'the model'): string => NAMES[finding.name](title)

/** The worst of the findings: of the picture and of every model, or of one. */
export function verdictOf(brought: Brought, model?: number): Verdict {
  const models = model === undefined ? brought.models : [brought.models[model]!]
  const found = [...brought.findings, ...models.flatMap(({ findings }) => findings)].map(likenessOf)
  const likeness = found.includes('unlike') ? 'unlike' : found.includes('rare') ? 'rare' : 'alike'
  return { likeness, words: WORDS[likeness] }
}

/** What held-out pictures are like. */
export function usual({ low, high }: Finding): string {
  if (low === null) return `≤ ${digits(high!)}`
  return high === null ? `≥ ${digits(low)}` : `${digits(low)} … ${digits(high)}`
}

export const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)).replace('-', '−')
