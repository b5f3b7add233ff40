// One map: its camera, its scene and what a person does on it. It draws when something changed; a moving cursor redraws
// only the lines above the points.
import type { Camera, Extent, ModelIndex, Plane, Points } from '../contract'
import type { ViewerCore } from '../core'
import { probes } from '../e2e'
import { stopHere } from '../keys'
import { Backdrop, type Shown } from './backdrop'
import { boundsOf, fit, panBy, seen, toMap, toScreen, zoomAt, type Size, type Spot } from './camera'
import { spotOf } from './canvas'
import { gainOf, hasClouds } from './clouds'
import { classColours, pointColours, rgbOf, type Rgb } from './colours'
import { listen } from './gestures'
import { courseOf, selectedOf, unshown, type Place } from './marks'
import { drawMarks, type Inks, type Marks } from './overlay'
import { Finder, type Picking } from './picking'
import { axisNames, project, slide } from './planes'
import { makeRenderer, type Made } from './renderer'
import { dotSize, emptyScene, type Frame } from './scene'

export interface Told { note: string; shown: Shown | null; busy: boolean; pointed: { spot: Spot; row: number; label: number } | null; lasso: number[] | null }
const REST = 180
const NEAR = 7

export class View {
  frames = 0
  frameMs = 0
  readonly #scene = emptyScene()
  readonly #ends: (() => void)[] = []
  readonly #ground: Backdrop
  readonly #veil: Backdrop
  #made: Made
  #size: Size = { width: 0, height: 0 }
  #bounds: Extent | null = null
  #otherBounds: Extent | null = null
  #points: Points | null = null
  #otherPoints: Points | null = null
  #finder: Finder | null = null
  #marks: Pick<Marks, 'lasso' | 'pointed'> = { lasso: [], pointed: null }
  #inks: Inks = { text: '', muted: '', line: '', accent: '', map: '', danger: '' }
  #dark = false
  #gain = { key: '', value: 1 }
  #resting = true
  #dirty = true
  #asked = 0
  #dragging = false
  #drewClouds = true
  #rest: ReturnType<typeof setTimeout> | undefined
  #offPlane: { timer?: ReturnType<typeof setTimeout>; key: string } = { key: '' }
  #coloured = ''

  constructor(
    readonly core: ViewerCore, readonly model: ModelIndex, private readonly element: HTMLElement, private readonly host: HTMLElement,
    private readonly lines: HTMLCanvasElement, private readonly tell: (told: Partial<Told>) => void,
  ) {
    this.#ground = new Backdrop(core.backend, model, (shown) => this.#laid('ground', shown), (error) => this.#notLaid(error))
    this.#veil = new Backdrop(core.backend, model, (shown) => this.#laid('veil', shown), () => {}) // the points are there all the same
    this.#made = this.#make()
    const resize = new ResizeObserver(() => this.#resize())
    resize.observe(element)
    const theme = new MutationObserver(() => this.#themed())
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    this.#ends.push(
      () => resize.disconnect(), () => theme.disconnect(), listen(element, this.#means()),
      core.on('points', () => this.#pointsChanged()), core.on('state', () => this.#stateChanged()),
      core.on('cursor', (m) => m === model && this.#cursorMoved()), core.on('located', (m) => m === model && this.ask()),
    )
    probes.set(model, this.#probe())
    this.#themed()
    this.#resize()
    this.#pointsChanged()
  }

  destroy(): void {
    for (const end of this.#ends) end()
    cancelAnimationFrame(this.#asked)
    clearTimeout(this.#rest)
    clearTimeout(this.#offPlane.timer)
    this.#ground.stop()
    this.#veil.stop()
    this.#made.renderer.dispose()
    probes.delete(this.model)
  }

  // ---- camera

  get morph(): number { return this.core.state.morph ?? 0 }
  get #between(): boolean { return this.morph > 0 && this.#scene.other !== null }

  cameraOf(m: number): Camera {
    const bounds = m === this.model ? this.#bounds : this.#otherBounds
    return this.core.state.models[m]?.camera ?? fit(bounds ?? { a0: -4, a1: 4, b0: -4, b1: 4 }, this.#size)
  }

  get camera(): Camera { return this.cameraOf(this.model) }

  #move(change: (camera: Camera) => Camera): void {
    const models: ModelIndex[] = this.#between ? this.core.indices : [this.model]
    for (const m of models) this.core.setCamera(m, change(this.cameraOf(m)))
    this.#moved()
  }

  #moved(): void {
    this.#resting = false
    clearTimeout(this.#rest)
    this.#rest = setTimeout(() => {
      this.#resting = true
      this.redraw()
      this.#wish()
    }, REST)
    this.redraw()
  }

  zoom(factor: number, spot: Spot = { x: this.#size.width / 2, y: this.#size.height / 2 }): void {
    this.#move((camera) => zoomAt(camera, this.#size, spot, factor))
  }

  fitAll(): void {
    for (const m of this.#between ? this.core.indices : [this.model]) this.core.setCamera(m, null)
    this.#moved()
  }

  #resize(): void {
    const box = this.element.getBoundingClientRect()
    if (!box.width || !box.height) return
    this.#size = { width: this.element.clientWidth, height: this.element.clientHeight }
    this.#moved()
  }

  // ---- the cursor

  get #cursor(): number[] { return this.core.state.models[this.model]!.cursor }

  #cursorSpot(m: ModelIndex = this.model): Spot | null {
    const plane = this.core.planes[m]
    const z = this.core.state.models[m]!.cursor
    if (!plane || z.length !== plane.u.length || !z.every(Number.isFinite)) return null
    const { a, b } = project(plane, z)
    return toScreen(this.cameraOf(m), this.#size, a, b)
  }

  /** Moves the cursor to a spot within the shown plane. */
  moveTo(spot: Spot, settled: boolean): void {
    const plane = this.core.planes[this.model]
    if (!plane || this.#between) return
    const { a, b } = toMap(this.camera, this.#size, spot)
    this.#activate()
    this.#dragging = !settled
    this.core.moveTo(this.model, slide(plane, this.#cursor, a, b), settled)
  }

  /** Moves the cursor by pixels: the arrow keys. */
  nudge(dx: number, dy: number): void {
    const spot = this.#cursorSpot()
    if (spot) this.moveTo({ x: spot.x + dx, y: spot.y + dy }, true)
  }

  #activate(): void {
    if (this.core.state.active !== this.model) this.core.change({ active: this.model })
  }

  #cursorMoved(): void {
    this.ask()
    const plane = this.core.planeAtCursor(this.model)
    if (!this.#dragging) this.#follow()
    if (!plane || plane.u.length < 3) return
    const key = plane.anchor.join()
    if (key === this.#offPlane.key) return
    clearTimeout(this.#offPlane.timer)
    this.#offPlane = { key, timer: setTimeout(() => void this.core.measureOffPlane(this.model).then(() => this.#wish()), 400) }
  }

  /** The camera goes after a cursor that left the view by other means than a hand on this map. */
  #follow(): void {
    const spot = this.#cursorSpot()
    const { width, height } = this.#size
    if (!spot || !this.#bounds || this.#between || !width || (spot.x > 10 && spot.y > 10 && spot.x < width - 10 && spot.y < height - 10)) return
    this.#move((camera) => panBy(camera, width / 2 - spot.x, height / 2 - spot.y))
  }

  // ---- picking

  #pick(spot: Spot): number {
    if (!this.#finder) return -1
    if (this.#between) return this.#places.nearest(spot.x, spot.y, NEAR)
    const { a, b } = toMap(this.camera, this.#size, spot)
    return this.#places.nearest(a, b, NEAR / this.camera.scale)
  }

  /** By map coordinates, or by pixels while the layouts morph. */
  get #places(): Picking {
    if (!this.#between) return this.#finder!.still()
    const key = [this.morph, ...Object.values(this.cameraOf(0)), ...Object.values(this.cameraOf(1)), this.#size.width, this.#size.height].join()
    return this.#finder!.moving(key, (i) => this.#spot(i))
  }

  #spot(i: number): Spot {
    const [camera, otherCamera] = [this.camera, this.cameraOf(1 - this.model)]
    return spotOf(this.#scene, { camera, otherCamera, morph: this.#between ? this.morph : 0, ...this.#size }, i)
  }

  // ---- what a hand means

  #means(): Parameters<typeof listen>[1] {
    return {
      drag: (spot, settled) => this.moveTo(spot, settled),
      click: (spot) => this.#click(spot),
      pan: (dx, dy) => this.#move((camera) => panBy(camera, dx, dy)),
      zoom: (spot, factor) => this.zoom(factor, spot),
      lasso: (spots, done) => this.#lasso(spots, done),
      point: (spot) => this.#point(spot),
      menu: (spot) => this.startPath(spot),
    }
  }

  #click(spot: Spot): void {
    this.element.focus({ preventScroll: true })
    const i = this.#pick(spot)
    this.#activate()
    if (i >= 0) void this.core.select(this.#points!.row[i]!)
    else this.moveTo(spot, true)
  }

  #point(spot: Spot | null): void {
    const i = spot ? this.#pick(spot) : -1
    const at = i >= 0 ? this.#spot(i) : null
    if (!at && !this.#marks.pointed) return
    this.#marks.pointed = at
    this.tell({ pointed: at ? { spot: at, row: this.#points!.row[i]!, label: this.#points!.label[i]! } : null })
    this.ask()
  }

  #lasso(spots: Spot[], done: boolean): void {
    this.#marks.lasso = done ? [] : spots
    this.ask()
    if (!done || spots.length < 3 || !this.#points) return
    const polygon = spots.map((spot): [number, number] => {
      if (this.#between) return [spot.x, spot.y]
      const { a, b } = toMap(this.camera, this.#size, spot)
      return [a, b]
    })
    this.#activate()
    this.tell({ lasso: this.#places.inside(polygon).map((i) => this.#points!.row[i]!) })
  }

  /** A path starts at the spot: at the point there, or at the place itself. */
  startPath(spot: Spot): void {
    const i = this.#pick(spot)
    const begin = () => this.core.change({ path: [stopHere(this.core)], t: 0 })
    this.#activate()
    if (i >= 0) return void this.core.select(this.#points!.row[i]!).then(begin)
    this.moveTo(spot, true)
    begin()
  }

  // ---- the scene

  #pointsChanged(): void {
    const { core, model } = this
    const other = core.points[1 - model] ?? null
    if (core.points[model] !== this.#points) {
      this.#points = core.points[model]!
      this.#finder = this.#points && new Finder(this.#points, core.visit.data.rows)
      this.#bounds = this.#points && boundsOf(this.#points.xy)
      this.#coloured = ''
      Object.assign(this.#scene, { n: this.#points?.n ?? 0, xy: this.#points?.xy ?? new Float32Array(0), cov: this.#points && hasClouds(this.#points) ? this.#points.cov : null })
      this.#scene.version.points++
    }
    if (other !== this.#otherPoints) {
      this.#otherPoints = other
      this.#otherBounds = other && boundsOf(other.xy)
      this.#scene.other = other && this.#points && other.n === this.#points.n ? other.xy : null
      this.#scene.version.points++
    } else if (other) this.#scene.other = other.n === this.#points?.n ? other.xy : null
    this.#stateChanged()
    this.#moved()
  }

  #stateChanged(): void {
    this.#colour()
    this.redraw()
    this.#wish()
  }

  #colour(): void {
    const points = this.#points
    const { picked } = this.core.state
    const key = `${picked} ${this.#dark}`
    if (!points || key === this.#coloured) return
    this.#coloured = key
    const classes = classColours(this.core.visit.data.labels?.length ?? 0, picked, this.#dark)
    this.#scene.colours = pointColours(points.label, points.off, classes, this.#dark, this.core.visit.models[this.model]!.latent_dim > 2)
    this.#scene.version.colours++
  }

  #themed(): void {
    const style = getComputedStyle(this.element) // in a report the page around has colours of its own
    for (const ink of Object.keys(this.#inks) as (keyof Inks)[]) this.#inks[ink] = style.getPropertyValue(`--${ink}`).trim()
    this.#dark = document.documentElement.dataset.theme === 'dark'
    this.#stateChanged()
  }

  /** What should lie under the points now. */
  #wish(): void {
    const { core, model } = this
    const plane = core.planeAtCursor(model)
    const { background, clouds } = core.state
    if (!plane || !this.#size.width || !this.#resting || this.#dragging) return
    const ink: Rgb = this.#dark ? rgbOf('8fb8e8') : rgbOf('3a6ea8')
    const common = { step: core.state.models[model]!.step, plane, extent: seen(this.camera, this.#size, 0.05), ink }
    const kind = this.#between || background === 'none' ? null : background
    this.tell({ busy: kind !== null && (kind !== 'tiles' || core.visit.data.image) })
    this.#ground.wish(kind && { ...common, kind })
    const veil = clouds > 0 && !this.#made.renderer.drawsClouds && this.#scene.cov !== null && !this.#between
    this.#veil.wish(veil ? { ...common, kind: 'veil' } : null)
  }

  #laid(which: 'ground' | 'veil', shown: Shown | null): void {
    this.#scene[which] = shown?.picture ?? null
    this.#scene.version[which]++
    if (which === 'ground') this.tell({ shown, busy: false })
    this.redraw()
  }

  #notLaid(error: unknown): void {
    this.#laid('ground', null)
    this.core.complain(error)
  }

  // ---- drawing

  #make(): Made {
    const made = makeRenderer(this.host, () => {
      this.#made = this.#make()
      this.redraw()
    })
    this.tell({ note: made.note })
    return made
  }

  /** Draws everything at the next frame; `ask` only the lines. */
  redraw(): void {
    this.#dirty = true
    this.ask()
  }

  ask(): void {
    this.#asked ||= requestAnimationFrame(() => {
      this.#asked = 0
      this.#draw()
    })
  }

  #frame(): Frame {
    const { core, model } = this
    const camera = this.camera
    const fitted = this.#bounds ? fit(this.#bounds, this.#size).scale : camera.scale
    const clouds = this.#points && this.#scene.cov ? core.state.clouds : 0
    return {
      ...this.#size, ratio: globalThis.devicePixelRatio || 1, camera, otherCamera: this.cameraOf(1 - model), morph: this.#between ? this.morph : 0,
      dot: dotSize(this.#scene.n, camera.scale / fitted), diamond: !core.visit.models[model]!.has_density,
      outline: this.#dark ? [0.05, 0.06, 0.09] : [1, 1, 1], clouds, gain: clouds ? this.#gainAt(clouds) : 1, resting: this.#resting,
    }
  }

  #gainAt(k: number): number {
    const key = `${k} ${this.#scene.version.points}`
    if (this.#gain.key !== key) this.#gain = { key, value: gainOf(this.#points!, k) }
    return this.#gain.value
  }

  #draw(): void {
    if (!this.#size.width) return
    const start = performance.now()
    const frame = this.#frame()
    if (this.#dirty) {
      this.#dirty = false
      this.#made.renderer.draw(this.#scene, frame)
      this.#noteClouds()
    }
    this.#drawLines(frame)
    this.frames++
    this.frameMs = performance.now() - start
  }

  #noteClouds(): void {
    const { renderer, note } = this.#made
    if (renderer.drawsClouds === this.#drewClouds) return
    this.#drewClouds = renderer.drawsClouds
    this.tell({ note: note || (renderer.drawsClouds ? '' : 'So many clouds are too slow here: their density is shown instead.') })
    this.#wish()
  }

  #drawLines(frame: Frame): void {
    const { lines, core, model } = this
    const [width, height] = [Math.round(frame.width * frame.ratio), Math.round(frame.height * frame.ratio)]
    if (lines.width !== width || lines.height !== height) [lines.width, lines.height] = [width, height]
    const plane = core.planes[model] ?? null
    const place = (a: number, b: number) => toScreen(frame.camera, frame, a, b)
    const context = lines.getContext('2d')
    if (!context) return
    const marks: Marks = {
      ...this.#marks, cursor: this.#between ? null : this.#cursorSpot(), active: core.state.active === model || core.state.models.length < 2,
      inside: core.located[model]?.inside ?? true, rings: core.visit.models[model]!.prior_was_trained && !this.#between,
      axes: plane && !this.#between ? axisNames(plane, core.state.models[model]!.choice.kind) : ['', ''], 
      ...(this.#between ? { path: [], leg: [] } : courseOf(core, model, plane, place)), selected: this.#selected(plane, place),
    }
    drawMarks(context, frame, frame.ratio, frame.camera, marks, this.#inks)
  }

  #selected(plane: Plane | null, place: Place): Marks['selected'] {
    const { selected, clouds } = this.core.state
    if (selected === null) return null
    const [i, code, k] = [this.#finder?.indexOf(selected) ?? -1, this.core.encoded[this.model], this.#between ? 0 : clouds || 1]
    if (i >= 0) return selectedOf(this.#points!, i, this.#spot(i), k)
    return code && plane && !this.#between ? unshown(code, plane, place, k) : null
  }

  #probe() {
    const client = ({ x, y }: Spot) => {
      const box = this.element.getBoundingClientRect()
      return { x: x + box.left, y: y + box.top }
    }
    const view = this
    return {
      get frames() { return view.frames },
      get frameMs() { return view.frameMs },
      get kind() { return view.#made.renderer.kind },
      pointAt: (row: number) => {
        const i = this.#finder?.indexOf(row) ?? -1
        return i < 0 ? null : client(this.#spot(i))
      },
      toClient: (a: number, b: number) => client(toScreen(this.camera, this.#size, a, b)),
    }
  }

  /** The map as a picture: what the canvases show now. */
  async png(): Promise<Blob | null> {
    this.#dirty = true
    this.#draw()
    const both = document.createElement('canvas')
    ;[both.width, both.height] = [this.lines.width, this.lines.height]
    const context = both.getContext('2d')!
    context.fillStyle = this.#inks.map
    context.fillRect(0, 0, both.width, both.height)
    context.drawImage(this.#made.renderer.canvas, 0, 0)
    context.drawImage(this.lines, 0, 0)
    return new Promise((resolve) => both.toBlob(resolve))
  }
}
