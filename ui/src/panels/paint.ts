// Tiles on a canvas: pictures pixelated, a table's row as bars, a failed one outlined. Also strips of them, to be saved as PNG.
import { REACH } from '../columns'
import type { Tile } from '../contract'

const FAILED = '#c62828'

/** Draws a tile into the square of `size` at (x, y). `range`: the ends of the bars of a table's row, its own where none is given. */
export function paint(pen: CanvasRenderingContext2D, tile: Tile | null, x: number, y: number, size: number, range?: [number, number]): void {
  pen.clearRect(x, y, size, size)
  if (!tile) return
  if (tile.failed !== null) return outline(pen, x, y, size)
  if (tile.rgba) picture(pen, tile, tile.rgba, x, y, size)
  else if (tile.values) bars(pen, tile.standard ?? tile.values, x, y, size, range ?? ends([tile]))
}

/** The least and the greatest value of some rows, 0 among them: bars of one strip are drawn to one scale. */
export function ends(tiles: readonly (Tile | null)[]): [number, number] {
  let [low, high] = [0, 0]
  if (tiles.some((tile) => tile?.standard)) return [-REACH, REACH]
  for (const tile of tiles) for (const value of tile?.values ?? []) [low, high] = [Math.min(low, value), Math.max(high, value)]
  return [low, high]
}

/** Tiles side by side, `size` pixels each, on a canvas of its own. */
export function strip(tiles: readonly Tile[], size: number, gap = 2): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  canvas.width = Math.max(1, tiles.length * (size + gap) - gap)
  canvas.height = size
  const pen = canvas.getContext('2d')
  const range = ends(tiles)
  if (pen) tiles.forEach((tile, i) => paint(pen, tile, i * (size + gap), 0, size, range))
  return canvas
}

function picture(pen: CanvasRenderingContext2D, tile: Tile, rgba: Uint8ClampedArray, x: number, y: number, size: number): void {
  const source = document.createElement('canvas')
  source.width = tile.width
  source.height = tile.height
  source.getContext('2d')?.putImageData(new ImageData(new Uint8ClampedArray(rgba), tile.width, tile.height), 0, 0)
  const fit = size / Math.max(tile.width, tile.height)
  const shrink = fit < 2 ? fit : Math.floor(fit) // from twice on, pixels stay whole
  const [wide, high] = [tile.width * shrink, tile.height * shrink]
  pen.imageSmoothingEnabled = shrink < 2
  pen.drawImage(source, x + Math.floor((size - wide) / 2), y + Math.floor((size - high) / 2), wide, high)
}

function bars(pen: CanvasRenderingContext2D, values: Float32Array, x: number, y: number, size: number, range: [number, number]): void {
  const span = range[1] - range[0] || 1
  const level = (value: number) => y + size * (1 - (Math.min(range[1], Math.max(range[0], value)) - range[0]) / span)
  const width = size / values.length
  pen.fillStyle = getComputedStyle(pen.canvas).color || '#555'
  values.forEach((value, i) => {
    const top = Math.min(level(0), level(value))
    pen.fillRect(x + i * width, top, Math.max(1, width * 0.8), Math.max(1, Math.abs(level(value) - level(0))))
  })
}

function outline(pen: CanvasRenderingContext2D, x: number, y: number, size: number): void {
  pen.strokeStyle = FAILED
  pen.lineWidth = 2
  pen.strokeRect(x + 1, y + 1, size - 2, size - 2)
  pen.beginPath()
  pen.moveTo(x + 1, y + 1)
  pen.lineTo(x + size - 1, y + size - 1)
  pen.stroke()
}
