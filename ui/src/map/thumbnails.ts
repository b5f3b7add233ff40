// Pictures on the map, each at its point, as many as there is room for: the first ones of the points' random order that lie on no other.
import type { Tile } from '../contract'
import type { Size, Spot } from '../maths/camera'
import { css } from './colours'
import type { Frame, Scene } from './scene'
import type { Surface } from './surface'

export const SIDE = 32 // pixels of a picture's longer side
const APART = 1.3 // of a side between two pictures: the points between them stay seen
const MOST = 400
const LOOKED = 50000 // points at most
const AT_ONCE = 64 // pictures of one question
const KEPT = 3000

export class Thumbnails {
  #chosen: number[] = []
  #placed = '' // where the chosen ones were found
  #drawn = ''
  #come = 0
  #asking = false
  readonly #pictures = new Map<number, HTMLCanvasElement | null>() // by row; null: there is none

  constructor(private readonly view: Surface, private readonly canvas: HTMLCanvasElement) {}

  /** Draws where something of them changed; `resting`: the camera rests, so that there may be room for others. */
  draw(scene: Scene, frame: Frame, resting: boolean): void {
    const { width, height, ratio, camera, otherCamera, morph } = frame
    const wanted = this.view.core.state.thumbs && this.view.points !== null
    const place = JSON.stringify([width, height, camera, otherCamera, morph, scene.version.points, scene.version.colours, wanted])
    if (resting && place !== this.#placed) this.#choose(place, frame, wanted)
    const key = `${place} ${ratio} ${this.#come} ${this.#placed === place}`
    if (key === this.#drawn) return
    this.#drawn = key
    this.#paint(scene, frame)
  }

  /** The point whose picture lies at a spot, or −1. */
  at({ x, y }: Spot): number {
    const hit = (i: number) => {
      const spot = this.view.spotOf(i)
      return Math.abs(spot.x - x) <= SIDE / 2 && Math.abs(spot.y - y) <= SIDE / 2
    }
    return this.#chosen.find((i) => this.#pictureOf(i) && this.view.shows(i) && hit(i)) ?? -1
  }

  #pictureOf(i: number): HTMLCanvasElement | null | undefined { return this.#pictures.get(this.view.points!.row[i]!) }

  #choose(place: string, frame: Frame, wanted: boolean): void {
    this.#placed = place
    const { view } = this
    if (!wanted) return void (this.#chosen = [])
    const n = Math.min(view.points!.n, frame.shown, LOOKED)
    this.#chosen = withRoom(n, frame, SIDE * APART, (i) => (view.shows(i) ? view.spotOf(i) : null), this.#chosen.filter((i) => i < n))
    void this.#ask()
  }

  async #ask(): Promise<void> {
    if (this.#asking) return
    this.#asking = true
    for (let rows = this.#missing; rows.length; rows = this.#missing) {
      const tiles = await this.view.core.backend.thumbnails(rows).catch((error: unknown) => (this.view.core.complain(error), null))
      rows.forEach((row, n) => this.#pictures.set(row, pictureOf(tiles?.[n] ?? null)))
      this.#come++
      this.view.ask()
    }
    this.#asking = false
    for (const row of [...this.#pictures.keys()].slice(0, Math.max(0, this.#pictures.size - KEPT))) this.#pictures.delete(row)
  }

  get #missing(): number[] {
    const { points } = this.view
    if (!points) return []
    return this.#chosen.map((i) => points.row[i]!).filter((row) => !this.#pictures.has(row)).slice(0, AT_ONCE)
  }

  #paint(scene: Scene, { width, height, ratio }: Frame): void {
    const { canvas, view } = this
    ;[canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)]
    const context = canvas.getContext('2d')
    if (!context || !view.points) return
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    for (const i of this.#chosen) {
      const picture = this.#pictureOf(i)
      if (!picture || !view.shows(i)) continue
      const [{ x, y }, scale] = [view.spotOf(i), SIDE / Math.max(picture.width, picture.height)]
      const [wide, high] = [picture.width * scale, picture.height * scale]
      context.fillStyle = css(scene.colours.subarray(4 * i, 4 * i + 3))
      context.fillRect(x - wide / 2 - 2, y - high / 2 - 2, wide + 4, high + 4)
      context.drawImage(picture, x - wide / 2, y - high / 2, wide, high)
    }
  }
}

/** Of n points those at least `apart` pixels from one another along an axis, in their order, those of `before` first. */
export function withRoom(n: number, { width, height }: Size, apart: number, spotOf: (i: number) => Spot | null, before: readonly number[] = []): number[] {
  const [taken, chosen, columns] = [new Map<number, Spot>(), [] as number[], Math.ceil(width / apart) + 3]
  const take = (i: number) => {
    const spot = spotOf(i)
    if (!spot || spot.x < 0 || spot.y < 0 || spot.x > width || spot.y > height) return
    const cell = (1 + Math.floor(spot.x / apart)) + columns * (1 + Math.floor(spot.y / apart))
    for (const dy of [-columns, 0, columns])
      for (const dx of [-1, 0, 1]) {
        const other = taken.get(cell + dx + dy)
        if (other && Math.abs(other.x - spot.x) < apart && Math.abs(other.y - spot.y) < apart) return
      }
    taken.set(cell, spot)
    chosen.push(i)
  }
  const first = new Set(before)
  before.forEach(take)
  for (let i = 0; i < n && chosen.length < MOST; i++) if (!first.has(i)) take(i)
  return chosen
}

function pictureOf(tile: Tile | null): HTMLCanvasElement | null {
  if (!tile?.rgba) return null
  const canvas = document.createElement('canvas')
  ;[canvas.width, canvas.height] = [tile.width, tile.height]
  canvas.getContext('2d')!.putImageData(new ImageData(tile.rgba as Uint8ClampedArray<ArrayBuffer>, tile.width, tile.height), 0, 0)
  return canvas
}
