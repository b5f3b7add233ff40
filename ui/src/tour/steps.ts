// The tour's steps, which of them a visit has models for, and what is said of the others.
import type { Roles } from './roles'

export interface Step { number: number; title: string; needs: (roles: Roles) => boolean; about: string }

const always = () => true

/** The numbers are those of the address: a link leads to the same step in every visit. */
export const STEPS: Step[] = [
  { number: 1, title: 'A point, and what lies between', needs: ({ autoencoder }) => autoencoder !== null, about: 'holes' },
  { number: 2, title: 'A cloud instead of a point', needs: ({ vae, noisy }) => vae !== null || noisy !== null, about: 'clouds' },
  { number: 3, title: 'What the KL term pulls', needs: always, about: 'the KL' },
  { number: 4, title: 'A draw that lets the slope through', needs: always, about: 'the draw' },
  { number: 5, title: 'From one example to another', needs: always, about: 'ways' },
  { number: 6, title: 'New examples from nothing', needs: always, about: 'sampling' },
  { number: 7, title: 'What lies near means alike', needs: always, about: 'meaning' },
  { number: 8, title: 'What β buys', needs: always, about: 'β' },
]

export const stepsFor = (roles: Roles): Step[] => STEPS.filter(({ needs }) => needs(roles))

/** The step of this number, or the next one that there is. */
export const stepAt = (steps: readonly Step[], number: number): Step =>
  steps.find((step) => step.number >= number) ?? steps.at(-1)!

/** What this visit cannot show, in one sentence; empty where it can show all. */
export function leftOut({ autoencoder, vae, noisy }: Roles): string {
  if (autoencoder !== null && vae !== null) return ''
  if (autoencoder !== null && noisy === null) return 'There is no VAE beside this autoencoder: the step on clouds is left out, and the others show one model.'
  if (autoencoder !== null) return 'There is no VAE in this visit, only an autoencoder and noise without the KL term: “VAE” below is the latter’s clouds alone.'
  if (vae === null) return 'This model has noise without the KL term. There is no autoencoder and no VAE beside it: the step on holes is left out.'
  if (noisy !== null) return 'There is no autoencoder in this visit: the step on holes is left out.'
  return 'There is no autoencoder beside this VAE: the step on holes is left out, and the others show one model.'
}
