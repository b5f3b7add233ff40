// The tour's steps, which of them a session has models for, and what is said of the others.
import type { Roles } from './roles'

export interface Step { number: number; title: string; needs: (roles: Roles) => boolean }

const always = () => true
const some = ({ autoencoder, vae, noisy }: Roles) => autoencoder !== null || vae !== null || noisy !== null

/** The numbers are those of the address: a link leads to the same step in every session. */
export const STEPS: Step[] = [
  { number: 1, title: 'A point, and what lies between', needs: ({ autoencoder }) => autoencoder !== null },
  { number: 2, title: 'A cloud instead of a point', needs: ({ vae, noisy }) => vae !== null || noisy !== null },
  { number: 3, title: 'What the KL term pulls', needs: always },
  { number: 4, title: 'A draw that lets the slope through', needs: always },
  { number: 5, title: 'From one example to another', needs: some },
  { number: 6, title: 'New examples from nothing', needs: some },
  { number: 7, title: 'What lies near means alike', needs: some },
  { number: 8, title: 'What β buys', needs: always },
]

export const stepsFor = (roles: Roles): Step[] => STEPS.filter(({ needs }) => needs(roles))

/** The step of this number, or the next one that there is. */
export const stepAt = (steps: readonly Step[], number: number): Step =>
  steps.find((step) => step.number >= number) ?? steps.at(-1)!

/** What this session cannot show, in one sentence; empty where it can show all. */
export function leftOut({ autoencoder, vae, noisy }: Roles): string {
  if (!some({ autoencoder, vae, noisy })) return 'No model of this session is ready yet: the steps that show one come with its first snapshot.'
  if (autoencoder !== null && vae !== null) return ''
  if (autoencoder !== null && noisy === null) return 'There is no VAE beside this autoencoder: the step on clouds is left out, and the others show one model.'
  if (autoencoder !== null) return 'There is no VAE in this session: beside the autoencoder there is noise without the KL term, whose clouds the steps show.'
  if (vae === null) return 'This model has noise without the KL term. There is no autoencoder and no VAE beside it: the step on holes is left out.'
  if (noisy !== null) return 'There is no autoencoder in this session: the step on holes is left out.'
  return 'There is no autoencoder beside this VAE: the step on holes is left out, and the others show one model.'
}
