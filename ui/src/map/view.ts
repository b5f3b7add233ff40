// One map: its camera, what lies on it, and two canvases. Points are drawn anew only when something of theirs changed; the
// cursor and everything that a hand moves are lines above them.
import type { Camera, ModelIndex, Points } from '../contract'
import type { ViewerCore } from '../core'
import { probes } from '../e2e'
import { fit, panBy, seen, toMap, toScreen, zoomAt, type Size, type Spot } from '../maths/camera'
import { spotOf } from './canvas'
import { layersOf } from '../maths/clouds'
import { Colouring } from './colouring'
import { Content } from './content'
import { listen } from './gestures'
import { Grounds } from './grounds'
import { calm, Growing } from './growing'
import { choose, handOf } from './hand'
import { marksOf } from './marks'
import { drawMarks, type Marks } from './overlay'
import type { Picking } from './picking'
import { probeOf } from './probe'
import { project, slide } from '../maths/planes'
import { cloudNote, makeRenderer, type Made } from './renderer'
import { savedMap } from './saved'
import { dotSize, type Frame } from './scene'
import { Snapping } from './snapping'
import type { Surface, Told } from './surface'
import type { Thumbnails } from './thumbnails'

/** The map itself, and what lies in it: points, pictures, lines. */
export interface Layers { element: HTMLElement; host: HTMLElement; pictures: HTMLCanvasElement; lines: HTMLCanvasElement }
const REST = 180
const NEAR = 7

export class View implements Surface {
  frames = 0 // times the points were drawn
  strokes = 0 // times the lines were
  frameMs = 0
  size: Size = { width: 0, height: 0 }
  readonly marks: Pick<Marks, 'lasso' | 'pointed'> = { lasso: [], pointed: null }
  readonly #content: Content
  readonly #growing = new Growing()
  readonly #snapping: Snapping
  readonly #colouring: Colouring
  readonly #ends: (() => void)[] = []
  readonly #grounds: Grounds
  #made: Made
  #resting = true
  #drawn = '' // what of the scene and the frame was drawn last
  #thumbs: Thumbnails | 'coming' | null = null
  #asked = 0
  #dragging = false
  #clouds = ''
  #rest: ReturnType<typeof setTimeout> | undefined
  #offPlane: { timer?: ReturnType<typeof setTimeout>; key: string } = { key: '' }

  constructor(
    readonly core: ViewerCore, readonly model: ModelIndex, private readonly layers: Layers, readonly tell: (told: Partial<Told>) => void,
  ) {
    this.#content = new Content(core, model)
    this.#colouring = new Colouring(core, model, (coloured) => {
      this.tell({ coloured })
      this.#content.colour(coloured.shade)
      this.ask()
    })
    this.#snapping = new Snapping(core, model, () => this.#content.finder, (i) => this.shows(i))
    this.#grounds = new Grounds(core, model, this.#content, tell, () => this.ask())
    this.#made = this.#make()
    const { element } = layers
    const resize = new ResizeObserver(() => this.#resize())
    resize.observe(element)
    const theme = new MutationObserver(() => this.#themed())
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    this.#ends.push(
      () => resize.disconnect(), () => theme.disconnect(), listen(element, handOf(this)),
      core.on('points', () => this.#pointsChanged()), core.on('state', () => this.#stateChanged()),
      core.on('cursor', (m) => m === model && this.#cursorMoved()), core.on('located', (m) => m === model && this.#located()),
    )
    probes.set(model, probeOf(this))
    this.#themed()
    this.#resize()
    this.#pointsChanged()
  }

  destroy(): void {
    for (const end of this.#ends) end()
    cancelAnimationFrame(this.#asked)
    clearTimeout(this.#rest)
    clearTimeout(this.#offPlane.timer)
    this.#growing.stop()
    this.#grounds.stop()
    this.#made.renderer.dispose()
    probes.delete(this.model)
  }

  get element(): HTMLElement { return this.layers.element }
  get kind(): string { return this.#made.renderer.kind }

  // ---- camera

  get points(): Points | null { return this.#content.points }
  get morph(): number { return this.core.state.morph ?? 0 }
  get between(): boolean { return this.morph > 0 && this.#content.scene.other !== null }
  /** Whether the map shows a layout without an inverse, and by itself. */
  get laid(): boolean { return this.#laidOut && !this.between }
  get #laidOut(): boolean { return this.core.planes[this.model]?.layout !== undefined }

  cameraOf(m: number): Camera {
    const bounds = m === this.model ? this.#content.bounds : this.#content.otherBounds
    return this.core.state.models[m]?.camera ?? fit(bounds ?? { a0: -4, a1: 4, b0: -4, b1: 4 }, this.size)
  }

  get camera(): Camera { return this.cameraOf(this.model) }

  #move(change: (camera: Camera) => Camera): void {
    const models: ModelIndex[] = this.between ? this.core.indices : [this.model]
    for (const m of models) this.core.setCamera(m, change(this.cameraOf(m)))
    this.#moved()
  }

  #moved(): void {
    this.#resting = false
    clearTimeout(this.#rest)
    this.#rest = setTimeout(() => {
      this.#resting = true
      this.ask()
      this.#wish()
    }, REST)
    this.ask()
  }

  pan(dx: number, dy: number): void { this.#move((camera) => panBy(camera, dx, dy)) }

  zoom(factor: number, spot: Spot = { x: this.size.width / 2, y: this.size.height / 2 }): void {
    this.#move((camera) => zoomAt(camera, this.size, spot, factor))
  }

  fitAll(): void {
    for (const m of this.between ? this.core.indices : [this.model]) this.core.setCamera(m, null)
    this.#moved()
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element
    if (!width || !height) return
    this.size = { width, height }
    this.#moved()
  }

  // ---- the cursor

  get #cursor(): number[] { return this.core.state.models[this.model]!.cursor }

  get cursorSpot(): Spot | null {
    const [plane, z] = [this.core.planes[this.model], this.#cursor]
    if (!plane || z.length !== plane.u.length || !z.every(Number.isFinite)) return null
    if (this.#laidOut) return this.#spotAt(this.#snapping.index)
    const { a, b } = project(plane, z)
    return toScreen(this.camera, this.size, a, b)
  }

  /** An image's point, or −1. */
  indexOf(row: number): number { return this.#content.finder?.indexOf(row) ?? -1 }
  /** Where an image's point lies, or null where it has none. */
  spotOfRow(row: number): Spot | null { return this.#spotAt(this.indexOf(row)) }

  #spotAt(i: number): Spot | null { return i < 0 ? null : this.spotOf(i) }

  /** Moves the cursor to a spot within the shown plane; in a layout, to the nearest image. */
  moveTo(spot: Spot, settled: boolean): void {
    const plane = this.core.planes[this.model]
    if (!plane || this.between) return
    this.activate()
    this.#dragging = !settled
    if (this.laid) return this.#snapping.choose(this.closest(spot))
    const { a, b } = toMap(this.camera, this.size, spot)
    this.core.lead(this.model, slide(plane, this.#cursor, a, b), settled)
  }

  /** Moves the cursor by pixels: the arrow keys; in a layout, to the nearest image that is as far in that direction. */
  nudge(dx: number, dy: number): void {
    if (this.laid) {
      this.activate()
      return this.#snapping.step(dx / this.camera.scale, -dy / this.camera.scale)
    }
    const spot = this.cursorSpot
    if (spot) this.moveTo({ x: spot.x + dx, y: spot.y + dy }, true)
  }

  activate(): void {
    if (this.core.state.active !== this.model) this.core.change({ active: this.model })
  }

  #cursorMoved(): void {
    this.ask()
    if (this.#dragging) return // within the plane
    this.#follow()
    const plane = this.core.planeAtCursor(this.model)
    if (!plane || plane.u.length < 3 || plane.layout) return
    const key = plane.anchor.map((value) => value.toFixed(2)).join()
    if (key === this.#offPlane.key) return
    clearTimeout(this.#offPlane.timer)
    this.#offPlane = { key, timer: setTimeout(() => void this.core.measureOffPlane(this.model).then(() => this.#wish()), 400) }
  }

  /** In a layout the cursor is drawn at what lies nearest. */
  #located(): void {
    this.ask()
    if (this.#laidOut && !this.#dragging) this.#follow()
  }

  /** The camera goes after a cursor that left the view by other means than a hand on this map. */
  #follow(): void {
    const spot = this.cursorSpot
    const { width, height } = this.size
    if (!spot || !this.#content.bounds || this.between || !width || (spot.x > 10 && spot.y > 10 && spot.x < width - 10 && spot.y < height - 10)) return
    this.pan(width / 2 - spot.x, height / 2 - spot.y)
  }

  // ---- picking

  /** Whether the next drag draws a lasso. */
  taking = false
  take(taking: boolean): void {
    this.taking = taking
    this.tell({ drawing: taking })
  }

  /** What is in view, as a lasso round all of it would have it: the twin of a drag. */
  listSeen(): void {
    const { width, height } = this.size
    choose(this, [{ x: 0, y: 0 }, { x: width, y: 0 }, { x: width, y: height }, { x: 0, y: height }])
  }

  shows(i: number): boolean { return this.#content.shows(i) }

  /** The point within reach of a spot, or −1. */
  pick(spot: Spot): number {
    const { places } = this
    const pictured = this.#thumbs instanceof Object && this.core.state.thumbs ? this.#thumbs.at(spot) : -1
    if (pictured >= 0) return pictured
    if (!places || !this.core.state.dots) return -1
    const shows = (i: number) => this.shows(i)
    if (this.between) return places.nearest(spot.x, spot.y, NEAR, shows)
    const { a, b } = toMap(this.camera, this.size, spot)
    return places.nearest(a, b, NEAR / this.camera.scale, shows)
  }

  /** The point nearest to a spot at any distance, or −1. */
  closest(spot: Spot): number {
    const { a, b } = toMap(this.camera, this.size, spot)
    return this.#snapping.closest(a, b)
  }

  /** By map coordinates, or by pixels while the layouts morph. */
  get places(): Picking | null {
    const { finder } = this.#content
    if (!finder || !this.between) return finder?.still() ?? null
    const key = [this.morph, ...Object.values(this.cameraOf(0)), ...Object.values(this.cameraOf(1)), this.size.width, this.size.height].join()
    return finder.moving(key, (i) => this.spotOf(i))
  }

  spotOf(i: number): Spot {
    const [camera, otherCamera] = [this.camera, this.cameraOf(1 - this.model)]
    return spotOf(this.#content.scene, { camera, otherCamera, morph: this.between ? this.morph : 0, ...this.size }, i)
  }

  // ---- the scene

  #pointsChanged(): void {
    const first = this.points === null
    this.#content.read()
    this.#growing.to(this.#content.scene.n, !first || calm(), () => this.ask())
    this.#stateChanged()
    this.#moved()
  }

  #stateChanged(): void {
    this.#colouring.wish()
    this.#content.colour(this.#colouring.shade)
    this.ask()
    this.#wish()
  }

  #themed(): void {
    this.#content.theme(this.element)
    this.#stateChanged()
  }

  /** What should lie under the points now. */
  #wish(): void {
    const plane = this.core.planeAtCursor(this.model)
    if (!plane || !this.size.width || !this.#resting || this.#dragging) return
    const extent = seen(this.camera, this.size, 0.05)
    this.#grounds.wish({ plane, extent, background: !this.between && !this.#laidOut, veil: !this.between && !this.#made.renderer.drawsClouds })
  }

  // ---- drawing

  #make(): Made {
    const made = makeRenderer(this.layers.host, () => {
      this.#made = this.#make()
      this.ask()
    })
    this.#drawn = this.#clouds = ''
    this.tell({ note: made.note, veiled: !made.renderer.drawsClouds })
    return made
  }

  /** Draws the lines at the next frame, and the points where something of theirs changed. */
  ask(): void {
    this.#asked ||= requestAnimationFrame(() => {
      this.#asked = 0
      this.#draw()
    })
  }

  #frame(): Frame {
    const { core, model, camera } = this
    const { scene, bounds, dark } = this.#content
    const fitted = bounds ? fit(bounds, this.size).scale : camera.scale
    const clouds = scene.cov ? core.state.clouds : 0
    return {
      ...this.size, ratio: globalThis.devicePixelRatio || 1, camera, otherCamera: this.cameraOf(1 - model), morph: this.between ? this.morph : 0,
      shown: this.#growing.shown, opacity: core.state.dots, dot: dotSize(scene.n, camera.scale / fitted), diamond: !core.session.models[model]!.has_density,
      outline: dark ? [0.05, 0.06, 0.09] : [1, 1, 1], clouds, gain: clouds ? this.#content.gainAt(clouds) : 1, resting: this.#resting || !clouds,
    }
  }

  #draw(): void {
    if (!this.size.width) return
    const frame = this.#frame()
    this.#drawPoints(frame)
    this.#drawPictures(frame)
    this.#drawLines(frame)
    this.strokes++
  }

  #drawPoints(frame: Frame): void {
    const { scene } = this.#content
    const key = JSON.stringify([frame, scene.version, scene.other !== null])
    if (key === this.#drawn && !this.#unfinished(frame)) return
    const start = performance.now()
    this.#drawn = key
    this.#made.renderer.draw(scene, frame)
    this.frames++
    this.frameMs = performance.now() - start
    this.#noteClouds(frame)
    if (this.#unfinished(frame)) this.ask()
  }

  /** Clouds are added up while nothing moves: a hand waits for none of them. */
  #unfinished(frame: Frame): boolean { return this.#made.renderer.unfinished && frame.resting && !this.#dragging }

  /** Told where clouds are wanted, and only there. */
  #noteClouds(frame: Frame): void {
    const { renderer, note } = this.#made
    const clouds = frame.clouds ? cloudNote(renderer, this.#content.scene.n, layersOf(frame.gain)) : ''
    if (clouds === this.#clouds) return
    this.#clouds = clouds
    this.tell({ note: note || clouds, veiled: !renderer.drawsClouds })
    this.#wish()
  }

  #drawLines(frame: Frame): void {
    const { lines } = this.layers
    const [width, height] = [Math.round(frame.width * frame.ratio), Math.round(frame.height * frame.ratio)]
    if (lines.width !== width || lines.height !== height) [lines.width, lines.height] = [width, height]
    const context = lines.getContext('2d')
    if (context) drawMarks(context, frame, frame.ratio, frame.camera, marksOf(this, frame), this.#content.inks)
  }

  /** Read when first wanted: most maps have no pictures on them. */
  #drawPictures(frame: Frame): void {
    if (this.#thumbs === null && this.core.state.thumbs) {
      this.#thumbs = 'coming'
      void import('./thumbnails').then(({ Thumbnails }) => {
        this.#thumbs = new Thumbnails(this, this.layers.pictures)
        this.ask()
      })
    }
    if (this.#thumbs instanceof Object) this.#thumbs.draw(this.#content.scene, frame, this.#resting)
  }

  /** The map as a picture: what the canvases show now. */
  async png(): Promise<Blob | null> {
    this.#drawn = '' // a canvas that was shown is empty for who reads it
    this.#draw()
    const { pictures, lines } = this.layers
    return savedMap([this.#made.renderer.canvas, ...(this.core.state.thumbs ? [pictures] : []), lines], this.#content.inks.map)
  }
}
