// What the tour alone asks the live page's server: images that the models give back well, and the ways between them.
import type { Core, ModelIndex } from '../contract'
import { Http } from '../http'

/** `by`: the models that all of these images suit; `of`: how many were looked at. */
export interface Examples { rows: number[]; ids: string[]; labels: number[]; by: number[]; of: number }
/** An error is null where the decoder gives no finite number. */
export interface Ways { errors: (number | null)[][]; inside: boolean[][]; threshold: number }

export const CELLS = 19

const http = () => new Http(new URL('.', location.href))
const steps = (core: Core): (number | null)[] => core.state.models.map(({ step }) => step)
const known = new Map<string, Promise<unknown>>()

/** Asked once for each snapshot; what failed may be asked again. */
function once<T>(path: string, body: unknown): Promise<T> {
  const key = JSON.stringify([path, body])
  const found = known.get(key) ?? http().post<T>(path, body).catch((error: unknown) => {
    known.delete(key)
    throw error
  })
  known.set(key, found)
  return found as Promise<T>
}

export const examples = (core: Core): Promise<Examples> => once('examples', { step: steps(core) })

export const ways = (core: Core, model: ModelIndex, pairs: [number, number][]): Promise<Ways> =>
  once('ways', { model, step: steps(core)[model], rows: pairs, cells: CELLS })
