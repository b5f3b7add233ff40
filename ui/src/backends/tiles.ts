// The backend of a report: what a file holds of a session, without a server. Models of two latents, so that the plane is all of z.
import type { Backend, Code, Dimension, Encoded, Extent, Field, FieldKind, Located, ModelIndex, Plane, PlaneChoice, Points, Rows, Tile, Session } from '../contract'
import { failed, pointsOf } from '../frames'
import { halfToFloat } from '../maths/clouds'
import { NO_CLASS } from '../words'
import { Atlas } from './atlas'
import { bytesOf, extentOf, valuesOf, type Embedded, type EmbeddedModel } from './embedded'
import { resampled, valueAt, type Measured } from './fields'
import { Known } from './known'
import { cut, piece, pictureOf, pixelsOf } from './pixels'

const ELSEWHERE = 'this needs the live page: legato explore RUN'
const NO_PICTURE = 'data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg" width="28" height="28"%3E%3Crect width="28" height="28" fill="%23999" opacity=".35"/%3E%3C/svg%3E'

interface Model { known: Known; atlas: Atlas; fields: Map<FieldKind, Measured>; embedded: EmbeddedModel }

export class TileBackend implements Backend {
  readonly live: boolean = false
  onCursor: Backend['onCursor'] = () => {}
  onConnection: Backend['onConnection'] = () => {}
  onVisit: (model: ModelIndex) => void = () => {} // a file's session never changes
  readonly #thumbnail = new Map<number, string>()
  readonly #nth: Map<number, number>

  /** Reads the pictures out of the file; what it holds is not changed. */
  static async open(embedded: Embedded): Promise<TileBackend> {
    const sheets = await Promise.all(embedded.models.map((model) => pictureOf(model.atlas.image)))
    const models = embedded.models.map((model, m) => modelOf(model, pixelsOf(sheets[m]!), embedded.session.models[m]!))
    return new this(embedded, models, await pictureOf(embedded.thumbnails.image))
  }

  protected constructor(
    protected readonly embedded: Embedded, protected readonly models: Model[], private readonly small: CanvasImageSource,
  ) {
    this.#nth = new Map(embedded.thumbnails.rows.map((row, n) => [row, n]))
  }

  async session(): Promise<Session> { return this.embedded.session }

  async plane(model: ModelIndex, _step: number | null, choice: PlaneChoice): Promise<Plane> {
    if (choice.kind !== 'axes' || choice.i !== 0 || choice.j !== 1) throw new Error(ELSEWHERE)
    return this.embedded.models[model]!.plane
  }

  async points(model: ModelIndex): Promise<Points> { return this.models[model]!.known.points }

  async decode(model: ModelIndex, _step: number | null, z: Code[]): Promise<Tile[]> { return z.map((code) => this.tile(model, code)) }

  async field(model: ModelIndex, _step: number | null, kind: FieldKind, _plane: Plane, extent: Extent, size: number): Promise<Field> {
    return resampled(this.models[model]!.fields.get(kind)!, extent, size)
  }

  async locate(model: ModelIndex, _step: number | null, z: Code, k: number): Promise<Located> {
    const { known, fields } = this.models[model]!
    const { rows, ids } = this.embedded.thumbnails
    const { places, distances } = known.nearest(z[0]!, z[1]!, k, rows.length)
    const support = fields.get('support')!
    return known.located(places, distances, ids, valueAt(support, z[0]!, z[1]!), support.threshold)
  }

  async dimensions(model: ModelIndex): Promise<Dimension[]> { return this.embedded.models[model]!.dimensions }
  async curves(model: ModelIndex) { return { lines: [], next: 0, snapshots: [], total: this.embedded.session.models[model]!.total, state: 'finished' as const } }

  image(row: number): string {
    const n = this.#nth.get(row)
    if (n === undefined) return NO_PICTURE
    const known = this.#thumbnail.get(n) ?? cut(this.small, this.embedded.thumbnails, n)
    this.#thumbnail.set(n, known)
    return known
  }

  async thumbnails(rows: number[]): Promise<Tile[]> {
    const { width, height } = this.embedded.thumbnails
    return rows.map((row) => {
      const n = this.#nth.get(row)
      if (n === undefined) return failed('no picture of it is in this file', width, height)
      return { width, height, rgba: piece(this.small, this.embedded.thumbnails, n), values: null, failed: null }
    })
  }
  row(): Promise<never> { return Promise.reject(new Error(ELSEWHERE)) }
  async rows(rows: number[]): Promise<Rows> {
    const { label } = this.models[0]!.known.points
    const place = (row: number) => this.models[0]!.known.placeOf(row)
    const ids = rows.map((row) => this.embedded.thumbnails.ids[this.#nth.get(row) ?? -1] ?? String(row))
    return { rows, ids, labels: rows.map((row) => label[place(row) ?? -1] ?? NO_CLASS), values: null }
  }
  encode(_picture: Blob): Promise<never> { return Promise.reject(new Error(ELSEWHERE)) }
  gif(): Promise<never> { return Promise.reject(new Error(ELSEWHERE)) }

  async code(row: number): Promise<{ models: Encoded[]; label: number; id: string }> {
    const models = this.models.map(({ known }) => known.code(row))
    if (models.includes(null)) throw new Error(`image ${row} is not in this file`)
    const { label } = this.models[0]!.known.points
    const place = this.models[0]!.known.placeOf(row)!
    return { models: models as Encoded[], label: label[place]!, id: this.embedded.thumbnails.ids[this.#nth.get(row) ?? -1] ?? String(row) }
  }

  async mean(model: ModelIndex, _step: number | null, rows: number[]): Promise<{ mu: number[] }> {
    const codes = rows.map((row) => this.models[model]!.known.code(row)?.mu).filter((mu): mu is number[] => mu !== undefined)
    return { mu: [0, 1].map((j) => codes.reduce((sum, mu) => sum + mu[j]!, 0) / codes.length) }
  }

  async prior(): Promise<Code[]> { throw new Error("a prior of a model's own needs the live page") }
  async film(): Promise<Code[][]> { throw new Error('a film of draws needs the live page') }

  async quality(model: ModelIndex, _step: number | null, key: string): Promise<Float32Array> {
    const packed = this.embedded.models[model]!.qualities?.[key]
    if (packed === undefined) throw new Error(ELSEWHERE)
    return Float32Array.from(new Uint16Array(bytesOf(packed).buffer), halfToFloat)
  }

  /** As selection.py writes it; ids are known of the images with a thumbnail. */
  async selection(model: ModelIndex, _step: number | null, rows: number[]): Promise<Blob> {
    const { known } = this.models[model]!
    const { ids } = this.embedded.thumbnails
    const lines = rows.map((row) => {
      const label = this.embedded.session.data.labels?.[known.points.label[known.placeOf(row)!]!] ?? ''
      return [row, quoted(ids[this.#nth.get(row) ?? -1] ?? ''), quoted(label), ...known.code(row)!.mu.map((value) => Number(value.toPrecision(9)))].join()
    })
    return new Blob([['row,id,label,z0,z1', ...lines, ''].join('\n')], { type: 'text/csv' })
  }

  async find(text: string): Promise<{ rows: number[]; ids: string[]; labels: number[] }> {
    const { rows, ids } = this.embedded.thumbnails
    const { label } = this.models[0]!.known.points
    const named = (i: number) => this.embedded.session.data.labels?.[label[i]!] ?? ''
    const found = rows.map((_, i) => i).filter((i) => ids[i]!.includes(text) || named(i) === text).slice(0, 200)
    return { rows: found.map((i) => rows[i]!), ids: found.map((i) => ids[i]!), labels: found.map((i) => label[i]!) }
  }

  cursor(model: ModelIndex, _step: number | null, z: Code): void {
    const began = performance.now()
    const tile = this.tile(model, z)
    // A page expects the answer after the question.
    queueMicrotask(() => this.onCursor(model, z, tile, performance.now() - began))
  }

  protected tile(model: ModelIndex, z: Code): Tile { return this.models[model]!.atlas.at(z[0]!, z[1]!) }
}

const quoted = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

function modelOf(embedded: EmbeddedModel, pixels: Uint8ClampedArray, { std, noise }: { std: number[]; noise: number[] }): Model {
  const extent = extentOf(embedded.extent)
  const deviations = std.map((spread, j) => Math.sqrt(spread * spread + (noise[j] ?? 0)))
  const known = new Known(pointsOf(bytesOf(embedded.points).buffer), embedded.plane, deviations)
  const fields = Object.entries(embedded.fields).map(([kind, packed]): [FieldKind, Measured] =>
    [kind as FieldKind, { ...packed, threshold: packed.threshold ?? NaN, values: valuesOf(packed), extent }])
  return { known, atlas: new Atlas(embedded.atlas, pixels, extent), fields: new Map(fields), embedded }
}
