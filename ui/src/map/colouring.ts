// What the points of one map are coloured by: asked for when it is chosen, kept while the page is open.
import type { ModelIndex, Quality } from '../contract'
import type { ViewerCore } from '../core'
import { shadeOf, type Shade } from './shade'

export interface Coloured { shade: Shade | null; measuring: boolean; lacks: boolean } // lacks: this model has no such quality

export class Colouring {
  shade: Shade | null = null
  #key = ''
  readonly #known = new Map<string, Shade>()

  constructor(private readonly core: ViewerCore, private readonly model: ModelIndex, private readonly tell: (told: Coloured) => void) {}

  /** Asks for what the state wants; `tell` hears of it now, and when it has come. */
  wish(): void {
    const { colour, models } = this.core.state
    const { step } = models[this.model]!
    const points = this.core.points[this.model]
    const key = colour === 'class' || colour === 'none' ? '' : `${colour} ${step} ${points?.n ?? 0}`
    if (key === this.#key) return
    this.#key = key
    const quality = this.core.session.models[this.model]!.colours?.find((one) => one.key === colour)
    this.shade = (key && this.#known.get(key)) || null
    const asks = Boolean(key && quality && points && !this.shade)
    this.tell({ shade: this.shade, measuring: asks, lacks: Boolean(key && !quality) })
    if (asks) void this.#ask(key, quality!, step)
  }

  async #ask(key: string, quality: Quality, step: number | null): Promise<void> {
    try {
      const shade = shadeOf(quality, await this.core.backend.quality(this.model, step, quality.key))
      this.#known.set(key, shade)
      if (key === this.#key) this.tell({ shade: (this.shade = shade), measuring: false, lacks: false })
    } catch (error) {
      if (key !== this.#key) return
      this.tell({ shade: null, measuring: false, lacks: false })
      this.core.complain(error)
    }
  }
}
