// What lies under the points, asked for when the map rests and filled in from coarse to fine; a newer wish ends an older one.
import type { Backend, Extent, Field, FieldKind, ModelIndex, Plane, Tile } from '../contract'
import { lattice } from '../maths/planes'
import { fieldPixels, pictureOf, veilPixels } from './ground'
import type { Rgb } from './colours'
import type { Picture } from './scene'

export interface Wish { kind: FieldKind | 'tiles' | 'veil'; step: number | null; plane: Plane; extent: Extent; ink: Rgb }
export interface Shown { picture: Picture; field: Field | null; cells: number }

const SIZES: Record<Wish['kind'], number[]> = {
  density: [64, 128], veil: [128], support: [16, 32, 64], holes: [16, 32, 64], speed: [16, 32, 64], tiles: [16, 32],
}
const LARGEST_TILE = 48

export class Backdrop {
  #turn = 0
  #key = ''
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly backend: Backend, private readonly model: ModelIndex,
    private readonly show: (shown: Shown | null) => void, private readonly failed: (error: unknown) => void,
  ) {}

  /** Shows the wish, after a moment in which no other one came; whether it is a new one. */
  wish(wish: Wish | null, wait = 250): boolean {
    const key = wish ? JSON.stringify([wish.kind, wish.step, wish.plane, wish.extent]) : ''
    if (key === this.#key) return false
    this.#key = key
    const turn = ++this.#turn
    clearTimeout(this.#timer)
    if (!wish) {
      this.show(null)
      return true
    }
    this.#timer = setTimeout(() => {
      this.#fill(wish, turn).catch((error: unknown) => {
        if (turn === this.#turn) this.failed(error)
      })
    }, wait)
    return true
  }

  stop(): void {
    this.#turn++
    clearTimeout(this.#timer)
  }

  async #fill(wish: Wish, turn: number): Promise<void> {
    for (const size of SIZES[wish.kind]) {
      const shown = wish.kind === 'tiles' ? await this.#tiles(wish, size, turn) : await this.#field(wish, wish.kind, size)
      if (turn !== this.#turn || !shown) return
      this.show(shown)
    }
  }

  async #field({ step, plane, extent, ink }: Wish, kind: FieldKind | 'veil', size: number): Promise<Shown> {
    const field = await this.backend.field(this.model, step, kind === 'veil' ? 'density' : kind, plane, extent, size)
    const pixels = kind === 'veil' ? 256 : 512
    const rgba = kind === 'veil' ? veilPixels(field, ink, pixels) : fieldPixels(field, kind, pixels)
    return { picture: pictureOf(rgba, pixels, extent), field, cells: size }
  }

  /** Rows of tiles, decoded as slices so that the cursor's requests go in between. */
  async #tiles({ step, plane, extent }: Wish, size: number, turn: number): Promise<Shown | null> {
    const image = document.createElement('canvas')
    const context = image.getContext('2d')!
    const rows = Math.max(1, Math.floor(64 / size))
    for (let top = 0; top < size; top += rows) {
      const codes = lattice(plane, extent, size, top, Math.min(size, top + rows))
      const tiles = await this.backend.decode(this.model, step, codes)
      if (turn !== this.#turn) return null
      if (tiles.some((tile) => tile.values)) throw new Error('only pictures can be laid under the map')
      const shape = tiles.find((tile) => tile.rgba) ?? tiles[0]!
      const shrink = Math.min(1, LARGEST_TILE / Math.max(1, shape.width, shape.height))
      const [width, height] = [shape.width, shape.height].map((side) => Math.max(1, Math.round(side * shrink))) as [number, number]
      if (top === 0) [image.width, image.height] = [width * size, height * size]
      tiles.forEach((tile, i) => layTile(context, tile, (i % size) * width, (top + Math.floor(i / size)) * height, width, height))
    }
    return { picture: { image, extent, smooth: false }, field: null, cells: size }
  }
}

const small = typeof document === 'undefined' ? null : document.createElement('canvas')
function layTile(onto: CanvasRenderingContext2D, tile: Tile, x: number, y: number, width: number, height: number): void {
  if (!tile.rgba || tile.failed !== null) {
    onto.fillStyle = '#b3261e'
    return onto.fillRect(x, y, width, height)
  }
  small!.width = tile.width
  small!.height = tile.height
  small!.getContext('2d')!.putImageData(new ImageData(tile.rgba as Uint8ClampedArray<ArrayBuffer>, tile.width, tile.height), 0, 0)
  onto.drawImage(small!, x, y, width, height)
}
