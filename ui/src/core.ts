// What a person has done and what the answers were. Pixels, points and the cursor stay outside Svelte's graph:
// panels listen with `on` and mirror what they show.
import { fromAddress, toAddress } from './address'
import type { Backend, Brought, Code, Core, Encoded, Guide, Located, ModelIndex, Plane, PlaneChoice, Points, State, Stop, Tile, Session } from './contract'
import { Bell, Delays, throttled, Voice, type Event, type Listener } from './events'
import { Follow, type Followed } from './follow'
import { History } from './history'
import { Names } from './names'
import { Near } from './near'
import { verdictOf } from './likeness'
import { boundsOf } from './maths/camera'
import { startOf, through } from './maths/planes'
import { between } from './maths/interpolation'
import { isSlow, Preview } from './preview'
import { placeInWords, selectedInWords } from './words'

export interface Pin { model: ModelIndex; z: number[]; tile: Tile }
export interface Options { address?: boolean }

const QUIET = new Set(['t', 'tab', 'theme', 'tour', 'keys', 'models', 'active', 'morph'])

export class ViewerCore implements Core {
  state: State
  readonly planes: (Plane | null)[]
  readonly points: (Points | null)[]
  readonly laying: boolean[]
  readonly tiles: (Tile | null)[]
  readonly located: (Located | null)[]
  readonly encoded: (Encoded | null)[] // the selected image's μ and σ
  readonly keepsAddress: boolean // whether the page's address tells what is shown
  readonly drawnAt: number[] // when each tile was drawn
  readonly coarse: boolean[] // whether a tile from near by stands in for one that is still to come
  readonly reading: ([bytes: number, total: number] | null)[] // of the points that are on their way
  readonly guides: (Guide | null)[] // what the tour points at on each map
  pins: Pin[] = []
  foreign: Brought | null = null // the picture that was dropped on the map
  connected = true
  trouble: string | null = null
  onSay: (text: string) => void = () => {}

  readonly names: Names
  readonly #bell = new Bell()
  readonly #voice = new Voice((text) => this.onSay(text))
  readonly #delays = new Delays()
  readonly #history = new History()
  readonly #near: Near
  readonly #preview: Preview
  readonly #follow: Follow
  readonly #turn: number[]
  readonly #leave: AbortController[]
  readonly #shown: (Code | null)[] // what each tile is decoded from
  #moving = false

  static async open(backend: Backend, options: Options = {}): Promise<ViewerCore> {
    return new ViewerCore(backend, await backend.session(), options)
  }

  constructor(readonly backend: Backend, readonly session: Session, { address = true }: Options = {}) {
    this.keepsAddress = address
    this.state = fromAddress(address ? location.hash : '', session.models)
    const nothing = <T>(): (T | null)[] => session.models.map(() => null)
    this.planes = nothing()
    this.points = nothing()
    this.tiles = nothing()
    this.located = nothing()
    this.encoded = nothing()
    this.guides = nothing()
    this.reading = nothing()
    this.#shown = nothing()
    this.drawnAt = session.models.map(() => 0)
    this.coarse = session.models.map(() => false)
    this.#turn = session.models.map(() => 0)
    this.#leave = session.models.map(() => new AbortController())
    this.laying = session.models.map(() => false)
    this.names = new Names(backend)
    this.#near = new Near((m) => this.#locate(m))
    this.#preview = new Preview(backend)
    this.#follow = new Follow(this, (model, z) => this.#put(model, z), (error) => this.complain(error))
    backend.onCursor = (...drawn) => this.#draw(...drawn)
    backend.onConnection = (open) => this.#connect(open)
    backend.onVisit = (model) => this.#visitChanged(model)
    for (const m of this.indices) this.#begin(m)
    if (this.state.selected !== null) void this.#readSelected(false)
    if (address) addEventListener('hashchange', (event) => this.#followAddress(new URL(event.newURL).hash))
  }

  get indices(): ModelIndex[] { return this.session.models.map((_, m) => m as ModelIndex) }
  get rate() { return this.#delays.rate }
  on(event: Event, listener: Listener): () => void { return this.#bell.on(event, listener) }
  along(t: number): number[] | null { return between(this.state.path.map((stop) => stop.z), t, this.state.spherical) }

  /** The image that the other model's cursor is at, while a hand leads this one's. */
  get followed(): Followed | null { return this.#follow.followed }

  moveTo(model: ModelIndex, z: ArrayLike<number>, settled = false): void {
    this.#follow.stop()
    this.#goTo(model, z, settled)
  }

  lead(model: ModelIndex, z: ArrayLike<number>, settled = false): void {
    this.#goTo(model, z, settled)
    this.#follow.lead(model, z)
  }

  #goTo(model: ModelIndex, z: ArrayLike<number>, settled: boolean): void {
    if (!this.#moving) this.#history.keep(this.state, 'cursor')
    this.#moving = !settled
    this.#put(model, Array.from(z))
    const other = (1 - model) as ModelIndex
    if (this.state.link === 'z' && this.session.models[other]?.latent_dim === z.length) this.#put(other, Array.from(z))
    this.#changed()
  }

  async select(row: number | null): Promise<void> {
    this.foreign = null
    this.#follow.stop()
    this.encoded.fill(null) // the former image's: the new one's code is still to come
    this.change({ selected: row })
    this.#bell.ringState() // a person's picture goes though nothing was selected before or after
    if (row !== null) await this.#readSelected(true)
  }

  change(part: Partial<State>): void {
    const keys = Object.keys(part) as (keyof State)[]
    const changed = keys.filter((key) => part[key] !== this.state[key])
    if (!changed.length) return
    if (changed.some((key) => !QUIET.has(key))) this.#history.keep(this.state, changed.join())
    this.state = { ...this.state, ...part }
    this.#changed()
  }

  setStep(model: ModelIndex, step: number | null): void {
    if (this.state.models[model]?.step === step) return
    this.#history.keep(this.state, `step ${model}`)
    this.#set(model, { step })
    this.#changed()
    this.#begin(model)
    if (this.state.selected !== null) void this.#readSelected(this.state.link === 'image')
  }

  setPlane(model: ModelIndex, choice: PlaneChoice): void {
    this.#history.keep(this.state, `plane ${model}`)
    this.#set(model, { choice, camera: null })
    this.#changed()
    this.#begin(model)
  }

  setCamera(model: ModelIndex, camera: State['models'][number]['camera']): void {
    this.#set(model, { camera })
    this.#changed()
  }

  addStop(stop: Stop): void { this.change({ path: [...this.state.path, stop] }) }

  undo(): void {
    const before = this.#history.take()
    if (!before) return this.say('nothing to undo')
    const camera = this.state.models.map((model) => model.camera)
    this.#become({ ...before, models: before.models.map((model, m) => ({ ...model, camera: camera[m] ?? null })) })
    this.say('undone')
  }

  /** Points at places on a model's map, or at nothing any more. */
  guide(model: ModelIndex, guide: Guide | null): void {
    this.guides[model] = guide
    this.#bell.ringState()
  }

  say(text: string): void { this.#voice.say(text) }

  /** Keeps what the active cursor shows, beside the decoded image. */
  pin(): void {
    const model = this.state.active
    const tile = this.tiles[model]
    const z = this.state.models[model]?.cursor
    if (!tile || !z?.length || this.coarse[model]) return
    this.pins = [...this.pins, { model, z, tile }].slice(-12)
    this.say('pinned')
    this.#bell.ringState()
  }

  unpin(pin: Pin): void {
    this.pins = this.pins.filter((kept) => kept !== pin)
    this.#bell.ringState()
  }

  /** Encodes a person's picture and puts every cursor on its code. */
  async open(picture: Blob): Promise<void> {
    try {
      const foreign = await this.backend.encode(picture)
      this.change({ selected: null })
      this.encoded.fill(null)
      this.foreign = foreign
      this.#follow.stop()
      foreign.models.forEach((code, m) => this.#put(m as ModelIndex, code.mu))
      this.#moving = false
      this.#changed()
      this.say(`your picture was encoded: ${verdictOf(foreign).words}`)
    } catch (error) {
      this.complain(error)
    }
  }

  /** One line that the page shows until the next; null: nothing is wrong. */
  complain(error: unknown): void {
    this.trouble = error === null ? null : error instanceof Error ? error.message : String(error)
    if (this.trouble) this.say(this.trouble)
    this.#bell.ringState()
  }

  /** The plane through the model's own cursor: what the map, its fields and its tiles show. */
  planeAtCursor(model: ModelIndex): Plane | null {
    const plane = this.planes[model]
    const cursor = this.state.models[model]?.cursor
    return plane && cursor ? through(plane, cursor) : (plane ?? null)
  }

  #put(model: ModelIndex, z: number[]): void {
    this.#set(model, { cursor: z })
    this.backend.cursor(model, this.state.models[model]!.step, Float32Array.from(z))
    this.#bell.ring('cursor', model)
    this.#preview.stop()
    if (isSlow(this.rate)) this.#foresee(model, z)
  }

  /** Until the answer comes, the nearest tile that is known. */
  #foresee(model: ModelIndex, z: number[]): void {
    const plane = this.planeAtCursor(model)
    const tile = plane && this.#preview.near(model, { step: this.state.models[model]!.step, plane }, z)
    if (!tile) return
    this.tiles[model] = tile
    this.coarse[model] = true
    this.#bell.ring('tile', model)
  }

  /** While the hand rests, tiles for when it moves again. */
  #prepare(model: ModelIndex): void {
    const [plane, points] = [this.planeAtCursor(model), this.points[model]]
    const extent = points && boundsOf(points.xy)
    if (plane && !plane.layout && extent && this.backend.live) this.#preview.rest(model, { step: this.state.models[model]!.step, plane, extent })
  }

  #set(model: ModelIndex, part: Partial<State['models'][number]>): void {
    this.state = { ...this.state, models: this.state.models.map((old, m) => (m === model ? { ...old, ...part } : old)) }
  }

  #changed(): void {
    this.#bell.ringState()
    if (this.keepsAddress) this.#writeAddress()
  }
  readonly #writeAddress = throttled(() => history.replaceState(null, '', '#' + toAddress(this.state)), 400)

  /** The event's own address: the page may have written over the bar's since. */
  #followAddress(hash: string): void {
    if (hash.slice(1) === toAddress(this.state)) return
    this.#become(fromAddress(hash, this.session.models))
  }

  #become(next: State): void {
    const before = this.state
    this.#follow.stop()
    this.state = next
    for (const m of this.indices) {
      const [was, is] = [before.models[m]!, next.models[m]!]
      if (was.step !== is.step || was.choice !== is.choice || !is.cursor.length) this.#begin(m)
      else if (was.cursor !== is.cursor) this.#put(m, is.cursor)
    }
    if (before.selected !== next.selected) {
      if (next.selected === null) this.encoded.fill(null)
      else void this.#readSelected(false)
    }
    this.#changed()
  }

  /** The plane, the cursor on it and the points, newest request first. */
  async #begin(m: ModelIndex): Promise<void> {
    const turn = ++this.#turn[m]!
    const { step, choice } = this.state.models[m]!
    this.#leave[m]!.abort()
    const { signal } = (this.#leave[m] = new AbortController())
    this.laying[m] = false
    if (!this.session.models[m]!.ready) return
    try {
      const plane = await this.backend.plane(m, step, choice)
      if (turn !== this.#turn[m]) return
      this.#lay(m, plane)
      const kept = this.state.models[m]!.cursor
      this.#put(m, kept.length ? kept : startOf(this.session.models[m]!, plane))
      this.#changed()
      const points = await this.backend.points(m, step, this.planeAtCursor(m)!, (...read) => this.#told(m, turn, read), plane.layout && signal)
      if (turn !== this.#turn[m]) return
      this.points[m] = points
      this.laying[m] = false
      this.reading[m] = null
      this.#bell.ring('points', m)
    } catch (error) {
      if (turn === this.#turn[m]) this.#notBegun(m, error)
    }
  }

  /** What lies in one layout has no place in another kind of map: that begins empty. */
  #lay(m: ModelIndex, plane: Plane): void {
    const other = plane.layout !== this.planes[m]?.layout
    this.planes[m] = plane
    this.laying[m] = plane.layout !== undefined
    if (plane.layout) this.say('laying out the codes')
    if (!other) return
    this.points[m] = null
    this.#bell.ring('points', m)
  }

  /** Without a layout the map is the principal plane. */
  #notBegun(m: ModelIndex, error: unknown): void {
    this.laying[m] = false
    this.complain(error)
    if (this.state.models[m]!.choice.kind !== 'umap') return
    this.#set(m, { choice: { kind: 'pca' }, camera: null })
    this.#changed()
    void this.#begin(m)
  }

  #told(m: ModelIndex, turn: number, read: [number, number]): void {
    if (turn !== this.#turn[m]) return
    this.reading[m] = read
    this.#bell.ringState()
  }

  /** After the cursor left the shown plane: the distances of the points from the plane through it. */
  async measureOffPlane(m: ModelIndex): Promise<void> {
    const turn = this.#turn[m]
    const plane = this.planeAtCursor(m)
    if (!plane || plane.u.length < 3 || plane.layout) return
    try {
      const points = await this.backend.points(m, this.state.models[m]!.step, plane)
      if (turn !== this.#turn[m]) return
      this.points[m] = points
      this.#bell.ring('points', m)
    } catch (error) {
      this.complain(error)
    }
  }

  async #readSelected(move: boolean): Promise<void> {
    const row = this.state.selected!
    try {
      const { models, label, id } = await this.backend.code(row, this.state.models.map((model) => model.step))
      if (this.state.selected !== row) return
      models.forEach((code, m) => {
        this.encoded[m] = code
        if (move) this.#put(m as ModelIndex, code.mu)
      })
      this.#moving = false
      this.names.learn([row], [id])
      this.say(selectedInWords(this.session, id, label))
      this.#changed()
    } catch (error) {
      this.complain(error)
    }
  }

  /** What lies near the place whose image is shown: asked once that is drawn, never before. */
  async #locate(m: ModelIndex): Promise<void> {
    const [{ step }, z] = [this.state.models[m]!, this.#shown[m]]
    if (!z || !this.session.models[m]!.ready || !this.connected) return
    const found = await this.backend.locate(m, step, z, 5).catch(() => null)
    if (found) this.names.learn(found.rows, found.ids)
    this.located[m] = found
    this.#follow.located(m, found?.rows[0])
    this.#bell.ring('located', m)
    if (!this.#moving && m === this.state.active) this.#voice.say(this.describe(m), true)
  }

  /** The cursor in words: shown coordinates, the nearest image, and whether the data goes there. */
  describe(m: ModelIndex): string {
    return placeInWords(this.session, this.state.models[m]!.cursor, this.located[m] ?? null)
  }

  #draw(model: ModelIndex, z: Code, tile: Tile, milliseconds: number): void {
    this.tiles[model] = tile
    this.coarse[model] = false
    this.#shown[model] = z
    this.drawnAt[model] = Date.now()
    this.#bell.ring('tile', model)
    this.#delays.add(milliseconds)
    this.#near.ask(model)
    if (isSlow(this.rate)) this.#prepare(model)
  }

  #connect(open: boolean): void {
    const again = open && !this.connected
    this.connected = open
    this.#bell.ring('connection', null)
    if (again) for (const m of this.indices) if (!this.points[m]) void this.#begin(m)
  }

  #visitChanged(model: ModelIndex): void {
    this.#bell.ringState()
    if (!this.points[model] && this.session.models[model]!.ready) void this.#begin(model)
  }
}
