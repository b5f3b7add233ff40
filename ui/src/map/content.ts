// What the map is made of: the points of the scene, their colours, how one is found, and the boxes that they fill.
import type { Extent, ModelIndex, Points } from '../contract'
import type { ViewerCore } from '../core'
import { boundsOf } from '../maths/camera'
import { gainOf, hasClouds } from '../maths/clouds'
import { classColours, pointColours } from './colours'
import type { Inks } from './overlay'
import { Finder } from './picking'
import { emptyScene } from './scene'
import { classesOf, shaded, type Shade } from './shade'

export class Content {
  readonly scene = emptyScene()
  readonly inks: Inks = { text: '', muted: '', line: '', accent: '', map: '', danger: '' }
  points: Points | null = null
  finder: Finder | null = null
  bounds: Extent | null = null
  otherBounds: Extent | null = null
  dark = false
  #other: Points | null = null
  #coloured = ''
  #shade: Shade | null = null
  #gain = { key: '', value: 1 }

  constructor(private readonly core: ViewerCore, private readonly model: ModelIndex) {}

  /** Takes the points that are known now. */
  read(): void {
    const { scene } = this
    const [own, other] = [this.core.points[this.model] ?? null, this.core.points[1 - this.model] ?? null]
    if (own !== this.points) this.#take(own)
    if (other !== this.#other) {
      this.#other = other
      this.otherBounds = other && boundsOf(other.xy)
      scene.version.points++
    }
    scene.other = other && other.n === own?.n ? other.xy : null
  }

  #take(points: Points | null): void {
    this.points = points
    this.finder = points && new Finder(points, this.core.session.data.rows)
    this.bounds = points && boundsOf(points.xy)
    this.#coloured = ''
    Object.assign(this.scene, { n: points?.n ?? 0, xy: points?.xy ?? new Float32Array(0), cov: points && hasClouds(points) ? points.cov : null })
    this.scene.version.points++
  }

  /** Colours the points anew where the classes in colour or the theme changed. */
  colour(shade: Shade | null): void {
    const { points, dark } = this
    const { picked, only, colour, range } = this.core.state
    const key = `${picked} ${only} ${dark} ${colour} ${range}`
    if (!points || (key === this.#coloured && shade === this.#shade)) return
    ;[this.#coloured, this.#shade] = [key, shade]
    const names = shade?.quality.classes ?? this.core.session.data.labels ?? []
    const label = shade?.quality.classes ? classesOf(shade.values) : points.label
    const classes = colour === 'none' ? [] : classColours(names.length, picked, dark)
    const rgba = pointColours(label, points.off, classes, dark, this.core.session.models[this.model]!.latent_dim > 2, only)
    this.scene.colours = shade && !shade.quality.classes ? shaded(rgba, shade, range, dark) : rgba
    this.scene.version.colours++
  }

  /** Whether the i-th point is shown: hidden ones have no colour. */
  shows(i: number): boolean { return this.scene.colours[4 * i + 3] !== 0 }

  /** The colours around the element: in a report the page has its own. */
  theme(element: Element): void {
    const style = getComputedStyle(element)
    for (const ink of Object.keys(this.inks) as (keyof Inks)[]) this.inks[ink] = style.getPropertyValue(`--${ink}`).trim()
    this.dark = document.documentElement.dataset.theme === 'dark'
  }

  gainAt(k: number): number {
    const key = `${k} ${this.scene.version.points}`
    if (this.#gain.key !== key) this.#gain = { key, value: gainOf(this.points!, k) }
    return this.#gain.value
  }
}
