// What lies under one map's points: the chosen background, and a veil in place of clouds that are too slow here.
import type { Extent, ModelIndex, Plane } from '../contract'
import type { ViewerCore } from '../core'
import { Backdrop, type Shown } from './backdrop'
import { rgbOf } from './colours'
import type { Content } from './content'

type Tell = (told: { shown?: Shown | null; busy: boolean }) => void
export interface Wanted { plane: Plane; extent: Extent; background: boolean; veil: boolean } // which of them have a place on the map now

export class Grounds {
  readonly #ground: Backdrop
  readonly #veil: Backdrop

  constructor(
    private readonly core: ViewerCore, private readonly model: ModelIndex, private readonly content: Content, private readonly tell: Tell,
    private readonly ask: () => void,
  ) {
    this.#ground = new Backdrop(core.backend, model, (shown) => this.#laid('ground', shown), (error) => this.#notLaid(error))
    this.#veil = new Backdrop(core.backend, model, (shown) => this.#laid('veil', shown), () => {}) // the points are there all the same
  }

  wish({ plane, extent, background, veil }: Wanted): void {
    const { state } = this.core
    const common = { step: state.models[this.model]!.step, plane, extent, ink: rgbOf(this.content.dark ? '8fb8e8' : '3a6ea8') }
    const kind = background && state.background !== 'none' ? state.background : null
    if (this.#ground.wish(kind && { ...common, kind })) this.tell({ busy: kind !== null })
    this.#veil.wish(veil && state.clouds > 0 && this.content.scene.cov !== null ? { ...common, kind: 'veil' } : null)
  }

  stop(): void {
    this.#ground.stop()
    this.#veil.stop()
  }

  #laid(which: 'ground' | 'veil', shown: Shown | null): void {
    const { scene } = this.content
    scene[which] = shown?.picture ?? null
    scene.version[which]++
    if (which === 'ground') this.tell({ shown, busy: false })
    this.ask()
  }

  #notLaid(error: unknown): void {
    this.#laid('ground', null)
    this.core.complain(error)
  }
}
