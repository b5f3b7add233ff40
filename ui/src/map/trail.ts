// A right click: the path starts at the spot, or goes on there; at the point that lies there, or at the place itself.
import type { Stop } from '../contract'
import { stopHere } from '../keys'
import type { Spot } from '../maths/camera'
import type { Surface } from './surface'

export class Trail {
  #last: Promise<void> = Promise.resolve()

  constructor(private readonly view: Surface) {}

  /** One click after another: an image's code is on its way while a hand has clicked again. */
  to(spot: Spot): void {
    this.#last = this.#last.then(() => this.#go(spot)).catch((error: unknown) => this.view.core.complain(error))
  }

  async #go(spot: Spot): Promise<void> {
    const { view } = this
    const { core } = view
    if (view.between) return
    const i = view.laid ? view.closest(spot) : view.pick(spot)
    const before = await this.#before()
    view.activate()
    if (i < 0) view.moveTo(spot, true)
    else {
      await core.select(view.points!.row[i]!)
      if (!core.encoded[view.model]) return // the page has said why
    }
    const path = [...before, stopHere(core)]
    core.change({ path, t: path.length > 1 ? 1 : 0 })
    core.say(path.length > 1 ? `the path goes on to ${path.at(-1)!.name}` : `a path starts at ${path[0]!.name}`)
  }

  /** The stops so far, as codes of this model. Places of another model's space are none of this one's: then a path starts anew. */
  async #before(): Promise<Stop[]> {
    const { core, model } = this.view
    const { path, active, link, models } = core.state
    const { latent_dim } = core.session.models[model]!
    if (!path.length || active === model || link === 'z') return path.every(({ z }) => z.length === latent_dim) ? path : []
    if (path.some(({ row }) => row === null)) return []
    const codes = await Promise.all(path.map(({ row }) => core.backend.code(row!, models.map(({ step }) => step))))
    return path.map((stop, n) => ({ ...stop, z: codes[n]!.models[model]!.mu }))
  }
}
