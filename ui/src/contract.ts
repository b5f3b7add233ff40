// What the parts of the page agree on: the session, where its answers come from, and what a person can do.
// The wire itself is in docs/explorer.md.

export type Code = Float32Array // z, d numbers
export type ModelIndex = 0 | 1

/** A two-dimensional window on latent space: a = z·u, b = z·v; u and v orthonormal. With a layout the points lie elsewhere, and no
 *  place but theirs stands for a code. */
/** `directions`: those in which the image changes most at the anchor, and by how much for one unit of z. */
export interface Plane { u: number[]; v: number[]; anchor: number[]; layout?: 'umap'; directions?: number[][]; stretch?: number[] }
export type PlaneChoice = { kind: 'axes'; i: number; j: number } | { kind: 'pca' } | { kind: 'local'; at: number[] } | { kind: 'umap' }

/** What the points can be coloured by: a number, or one of some classes. */
export interface Quality { key: string; name: string; unit: string; group: 'data' | 'model' | 'latents'; classes: string[] | null }

/** A prior that was fitted after training, by its name. */
export interface Fitted { name: string; kind: string }

export interface ModelInfo {
  title: string; recipe: string; sentence: string; words: Record<string, unknown>
  latent_dim: number; shape?: number[]; has_density: boolean; prior_was_trained: boolean
  standard_prior?: boolean // false: the prior is no N(0, I), and only the server draws from it
  snapshots: number[]; total: number; state: 'training' | 'finished' | 'stopped'; ready: boolean
  mean: number[]; std: number[]; noise: number[]
  priors?: Fitted[] // fitted to the codes of the finished model
  colours?: Quality[]
}
/** A table's column: values are drawn in its standard deviations from its mean. */
export interface Column { name: string; unit: string; mean: number; std: number }
export interface Session {
  version: 1; legato: string
  data: { source: string; rows: number; shown: number; among?: number; sampled: boolean; shape: number[]; image: boolean; labels: string[] | null
    columns?: Column[] | null; background?: [number, number, number] | null } // background: what most pictures have at their edges
  models: ModelInfo[]
  limits: { upload_bytes: number; decode: number; no_umap?: string | null } // why there is no UMAP layout, in one line
  classes?: Classes // of a class-conditional model, which is looked at one class at a time
}
export interface Classes { names: string[]; rows: number[]; one: number } // rows: how many each has; one: the class of this page

/** The i-th point of every model and step is the same image. */
export interface Points {
  n: number
  xy: Float32Array // 2n, map coordinates of μ
  row: Uint32Array // n, the image's row
  off: Uint8Array // n, distance from the plane, 255 the farthest
  cov: Uint16Array // 3n, half floats: aa, ab, bb
  label: Uint16Array // n, 65535: none
}
/** A decoded example: a picture (rgba) or a table's row (values, in its columns' own units; `standard`: in their standard deviations
 *  from their means); `failed` where the decoder gave no finite number. */
export interface Tile { width: number; height: number; rgba: Uint8ClampedArray | null; values: Float32Array | null; standard?: Float32Array; failed: string | null }
export type FieldKind = 'density' | 'holes' | 'support' | 'speed'
export interface Field { width: number; height: number; low: number; high: number; threshold: number; values: Float32Array }
export interface Extent { a0: number; a1: number; b0: number; b1: number }
export interface Located { rows: number[]; distances: number[]; labels: number[]; ids: string[]; support: number; inside: boolean; unit: string }
export interface Dimension { index: number; kl: number | null; std: number; sigma: number; low: number; high: number; collapsed: boolean }
export interface Curves { lines: Record<string, unknown>[]; next: number; snapshots: number[]; total: number; state: ModelInfo['state'] }
export interface Encoded { mu: number[]; sigma: number[] }
/** What was measured of a person's picture, and the least and greatest of held-out ones; `share` of these are as far out. */
export interface Finding { name: 'error' | 'support' | 'nearest' | 'brightness' | 'contrast'; value: number; low: number | null; high: number | null; share: number; odd: boolean }
/** A picture that a person brought, as the models see it; findings of each model's, and of the picture itself. */
export interface Brought { image: string; models: (Encoded & { findings: Finding[] })[]; findings: Finding[]; held: number }
/** Rows by name; of a table their values in its own units. */
export interface Rows { rows: number[]; ids: string[]; labels: number[]; values: number[][] | null }

/** Where answers come from: the socket and routes of `legato explore`, tiles in a file, or a decoder in the page. */
export interface Backend {
  readonly live: boolean // whether any z can be decoded; else only tiles of the shown plane
  session(): Promise<Session>
  plane(model: ModelIndex, step: number | null, choice: PlaneChoice): Promise<Plane>
  /** `told`: how many bytes have come, of how many (0: not known). `left`: nobody waits any more. */
  points(model: ModelIndex, step: number | null, plane: Plane, told?: (bytes: number, total: number) => void, left?: AbortSignal): Promise<Points>
  decode(model: ModelIndex, step: number | null, z: Code[]): Promise<Tile[]> // cut into slices; rejects with one line
  field(model: ModelIndex, step: number | null, kind: FieldKind, plane: Plane, extent: Extent, size: number): Promise<Field>
  locate(model: ModelIndex, step: number | null, z: Code, k: number): Promise<Located>
  dimensions(model: ModelIndex, step: number | null): Promise<Dimension[]>
  curves(model: ModelIndex, after: number): Promise<Curves>
  image(row: number): string // an address for an <img>
  thumbnails(rows: number[]): Promise<Tile[]> // small pictures of images, at most 256
  row(row: number): Promise<Tile> // a row of the source, in the units of what is decoded
  rows(rows: number[]): Promise<Rows> // at most 200
  encode(picture: Blob): Promise<Brought>
  code(row: number, steps: (number | null)[]): Promise<{ models: Encoded[]; label: number; id: string }>
  mean(model: ModelIndex, step: number | null, rows: number[]): Promise<{ mu: number[] }>
  /** The model's own, or a fitted one's by its name. */
  prior(model: ModelIndex, step: number | null, seed: number, n: number, temperature: number, name?: string): Promise<Code[]>
  /** The ways of the same draws from noise to codes, one list for each frame. */
  film(model: ModelIndex, name: string, seed: number, n: number, temperature: number, frames: number): Promise<Code[][]>
  quality(model: ModelIndex, step: number | null, key: string): Promise<Float32Array> // of every shown image, in the points' order
  selection(model: ModelIndex, step: number | null, rows: number[]): Promise<Blob> // CSV: row, id, label, code
  find(text: string): Promise<{ rows: number[]; ids: string[]; labels: number[] }>
  gif(model: ModelIndex, step: number | null, stops: Code[], spherical: boolean, frames: number): Promise<Blob>
  /** The cursor: at most one request under way for each model, the newest wins, stale answers never reach `draw`. */
  cursor(model: ModelIndex, step: number | null, z: Code): void
  onCursor: (model: ModelIndex, z: Code, tile: Tile, milliseconds: number) => void
  onConnection: (open: boolean) => void
  /** A run in training has new snapshots: `session.models[model]` was changed in place. */
  onVisit?: (model: ModelIndex) => void
}

export interface Camera { a: number; b: number; scale: number } // centre in map coordinates, pixels for one unit
export type Background = 'none' | 'density' | 'tiles' | 'holes' | 'support' | 'speed'
/** What the tour points at on a map: places, and a way from image to image; `off`: no place that the model knows. */
export interface Mark { z: number[]; off?: boolean }
export interface Guide { spots: Mark[]; way: Mark[] }
export interface Stop { z: number[]; row: number | null; name: string }

/** Everything that the address keeps (after #), so that a link brings another person to the same place. */
export interface State {
  active: ModelIndex // the model whose panels are shown
  compare: boolean
  link: 'image' | 'z'
  morph: number | null // 0: the first model's layout, 1: the second's; null: side by side
  models: { step: number | null; choice: PlaneChoice; cursor: number[]; camera: Camera | null }[]
  selected: number | null // a row
  background: Background
  clouds: number // 0: none; k: at k σ, 1 is axis scale
  picked: number[] // classes in colour, when there are more than nine
  only: number[] // classes whose points are shown, 65535 those without one; none: all are
  colour: string // what the points are coloured by: 'class', 'none', or a quality's key
  range: [number, number] // of a quality, the shares of the points between which they are shown, 0 … 1
  thumbs: boolean // whether pictures lie on the map, as many as there is room for
  dots: number // how opaque the points are, 0 … 1
  path: Stop[]
  t: number // 0 … 1 along the path
  spherical: boolean
  samples: { seed: number; temperature: number }
  tab: 'map' | 'dimensions' | 'path' | 'train'
  tour: number | null // 1 … 8
  theme: 'auto' | 'light' | 'dark'
  keys: boolean // single-key shortcuts on
}

/** What the panels may read and do. It is no rune: pixels, points and the cursor move outside Svelte's graph. */
export interface Core {
  readonly backend: Backend
  readonly session: Session
  readonly state: Readonly<State>
  readonly planes: (Plane | null)[]
  readonly points: (Points | null)[]
  readonly laying: boolean[] // whether a map's points are being laid out
  readonly tiles: (Tile | null)[] // what each cursor decodes to, as last drawn
  readonly located: (Located | null)[] // what lies near what each cursor shows, at most 5 times a second
  readonly rate: { p50: number; p95: number; shown: number } // drag to pixels, milliseconds
  readonly connected: boolean

  /** Moves a cursor and decodes there; with `link: 'z'` the other one's too. `settled`: the hand has let go. */
  moveTo(model: ModelIndex, z: ArrayLike<number>, settled?: boolean): void
  /** The same by a person's hand: with `link: 'image'` and both maps shown, the other cursor goes to its code of the image nearest to z. */
  lead(model: ModelIndex, z: ArrayLike<number>, settled?: boolean): void
  /** Selects an image: every model's cursor goes to its own code of it. */
  select(row: number | null): Promise<void>
  /** Changes the state, keeps the address, and redraws what depends on it. */
  change(part: Partial<State>): void
  setStep(model: ModelIndex, step: number | null): void
  setPlane(model: ModelIndex, choice: PlaneChoice): void
  addStop(stop: Stop): void
  undo(): void
  say(text: string): void // the polite live region, at most once a second
  /** The code at t on the path: linear, or along the great circle, all legs equally long in t. */
  along(t: number): number[] | null
  /** `state`: something in it changed (at most 10 times a second while the hand moves); `tile`: a cursor was drawn;
   *  `cursor`: one moved, told at once and every time. */
  on(event: 'state' | 'tile' | 'points' | 'located' | 'connection' | 'cursor', listener: (model: ModelIndex | null) => void): () => void
}
