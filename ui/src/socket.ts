// The backend of the live page: routes for everything, the socket for the cursor.
import type {
  Backend, Brought, Code, Curves, Dimension, Encoded, Extent, Field, FieldKind, Located, ModelIndex, Plane, PlaneChoice, Points, Rows, Tile, Session,
} from './contract'
import { standardised } from './columns'
import { Cursors } from './cursors'
import { fieldOf, pointsOf, tilesOf } from './frames'
import { Http } from './http'

type Step = number | null

export class SocketBackend implements Backend {
  readonly live = true
  readonly cursors: Cursors
  onCursor: Backend['onCursor'] = () => {}
  onConnection: Backend['onConnection'] = () => {}
  onVisit: (model: ModelIndex) => void = () => {}
  readonly #http: Http
  #session: Session | null = null

  constructor(base: URL) {
    this.#http = new Http(base)
    const address = new URL('socket', base)
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:'
    this.cursors = new Cursors(() => new WebSocket(address))
    this.cursors.onTile = (model, z, tile, milliseconds) => this.onCursor(model, z, this.#standardised(tile), milliseconds)
    this.cursors.onConnection = (open) => this.onConnection(open)
  }

  async session(): Promise<Session> { return (this.#session = await this.#http.read<Session>('session.json')) }
  plane(model: ModelIndex, step: Step, choice: PlaneChoice) { return this.#http.post<Plane>('plane', { model, step, ...choice }) }
  async points(model: ModelIndex, step: Step, plane: Plane, told?: (bytes: number, total: number) => void, left?: AbortSignal): Promise<Points> {
    return pointsOf(await this.#http.bytes('points', { model, step, plane }, told, left))
  }

  async decode(model: ModelIndex, step: Step, z: Code[]): Promise<Tile[]> {
    const most = Math.max(1, this.#session?.limits.decode ?? 256)
    const tiles: Tile[] = []
    for (let from = 0; from < z.length; from += most) {
      const slice = z.slice(from, from + most).map((code) => Array.from(code))
      tiles.push(...tilesOf(await this.#http.bytes('decode', { model, step, z: slice })).map((tile) => this.#standardised(tile)))
    }
    return tiles
  }

  async field(model: ModelIndex, step: Step, kind: FieldKind, plane: Plane, { a0, a1, b0, b1 }: Extent, size: number): Promise<Field> {
    return fieldOf(await this.#http.bytes('field', { model, step, kind, plane, extent: [a0, a1, b0, b1], size }))
  }

  locate(model: ModelIndex, step: Step, z: Code, k: number) {
    return this.#http.post<Located>('locate', { model, step, z: Array.from(z), k })
  }
  async dimensions(model: ModelIndex, step: Step): Promise<Dimension[]> {
    return (await this.#http.post<{ dimensions: Dimension[] }>('dimensions', { model, step })).dimensions
  }

  async curves(model: ModelIndex, after: number): Promise<Curves> {
    const curves = await this.#http.read<Curves>(`curves/${model}?after=${after}`)
    this.#learn(model, curves)
    return curves
  }

  image(row: number): string { return this.#http.address(`image/${row}.png`).href }
  async thumbnails(rows: number[]): Promise<Tile[]> { return tilesOf(await this.#http.bytes('thumbnails', { rows })) }
  async row(row: number): Promise<Tile> { return this.#standardised(tilesOf(await this.#http.load(`row/${row}`))[0]!) }
  rows(rows: number[]) { return this.#http.post<Rows>('rows', { rows }) }
  encode(picture: Blob): Promise<Brought> {
    const most = this.#session?.limits.upload_bytes ?? Infinity
    if (picture.size > most) return Promise.reject(new Error(`the file has ${picture.size} bytes, at most ${most} are taken`))
    return this.#http.upload('encode', picture)
  }
  code(row: number, step: Step[]) { return this.#http.post<{ models: Encoded[]; label: number; id: string }>('code', { row, step }) }
  async prior(model: ModelIndex, step: Step, seed: number, n: number, temperature: number, name: string | null = null) {
    const { codes } = await this.#http.post<{ codes: number[][] }>('prior', { model, step, seed, n, temperature: [temperature], name })
    return codes.map((z) => Float32Array.from(z))
  }
  async film(model: ModelIndex, name: string, seed: number, n: number, temperature: number, frames: number) {
    const { codes } = await this.#http.post<{ codes: number[][] }>('film', { model, name, seed, n, temperature: [temperature], frames })
    return Array.from({ length: frames }, (_, frame) => codes.slice(frame * n, (frame + 1) * n).map((z) => Float32Array.from(z)))
  }
  mean(model: ModelIndex, step: Step, rows: number[]) { return this.#http.post<{ mu: number[] }>('mean', { model, step, rows }) }
  async quality(model: ModelIndex, step: Step, key: string): Promise<Float32Array> {
    return new Float32Array(await this.#http.bytes('quality', { model, step, key }))
  }
  selection(model: ModelIndex, step: Step, rows: number[]): Promise<Blob> { return this.#http.blob('selection.csv', { model, step, rows }) }
  find(text: string) { return this.#http.read<{ rows: number[]; ids: string[]; labels: number[] }>(`find?q=${encodeURIComponent(text)}`) }
  gif(model: ModelIndex, step: Step, stops: Code[], spherical: boolean, frames: number): Promise<Blob> {
    return this.#http.blob('path.gif', { model, step, stops: stops.map((stop) => Array.from(stop)), spherical, frames })
  }

  cursor(model: ModelIndex, step: Step, z: Code): void {
    const index = step === null ? 0 : (this.#session?.models[model]?.snapshots.indexOf(step) ?? -1) + 1
    if (step !== null && index === 0) this.cursors.refuse(model, z, `there is no snapshot at step ${step}`)
    else this.cursors.ask(model, index, z)
  }

  #standardised(tile: Tile): Tile { return standardised(tile, this.#session?.data.columns) }

  #learn(model: ModelIndex, { snapshots, total, state }: Curves): void {
    const known = this.#session?.models[model]
    if (!known || (known.snapshots.length === snapshots.length && known.state === state)) return
    Object.assign(known, { snapshots, total, state, ready: known.ready || snapshots.length > 0 || state === 'finished' })
    this.onVisit(model)
  }
}
