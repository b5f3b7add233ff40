// Draws one decoded example into a canvas: a picture's own pixels, or a table's row as bars.
import { REACH } from '../columns'
import type { Tile } from '../contract'

/** The largest whole number of screen pixels for one of the tile's, at least 1. */
export const scaleOf = (tile: Pick<Tile, 'width' | 'height'>, size: number): number =>
  Math.max(1, Math.floor(size / Math.max(tile.width, tile.height, 1)))

/** `largest`: what a full bar stands for, the row's own largest value unless told. */
export function paintTile(canvas: HTMLCanvasElement, tile: Tile, size: number, largest?: number): void {
  if (tile.values) return paintBars(canvas, tile.standard ?? tile.values, size, largest ?? peakOf(tile))
  if (canvas.width !== tile.width || canvas.height !== tile.height) {
    canvas.width = tile.width
    canvas.height = tile.height
  }
  const longer = Math.max(tile.width, tile.height)
  const scale = longer > size ? size / longer : scaleOf(tile, size)
  canvas.style.width = `${tile.width * scale}px`
  canvas.style.height = `${tile.height * scale}px`
  canvas.style.imageRendering = scale < 1 ? 'auto' : '' // shrunk, every other pixel would be left out
  const context = canvas.getContext('2d')
  if (!context) return
  if (tile.failed !== null || !tile.rgba) return context.clearRect(0, 0, tile.width, tile.height)
  context.putImageData(new ImageData(tile.rgba as Uint8ClampedArray<ArrayBuffer>, tile.width, tile.height), 0, 0)
}

/** What a full bar of a row stands for: three standard deviations, or the largest size of its finite values, above 0. */
export function peakOf({ values, standard }: Pick<Tile, 'values' | 'standard'>): number {
  if (standard || !values) return REACH
  let largest = 1e-9
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
  return largest
}

/** Bars up and down from zero; `largest` fills half the height. */
function paintBars(canvas: HTMLCanvasElement, values: Float32Array, size: number, largest: number): void {
  const ratio = globalThis.devicePixelRatio || 1
  canvas.width = canvas.height = Math.round(size * ratio)
  canvas.style.width = canvas.style.height = `${size}px`
  const context = canvas.getContext('2d')
  if (!context) return
  const style = getComputedStyle(canvas)
  const middle = canvas.height / 2
  const each = canvas.width / values.length
  context.fillStyle = style.getPropertyValue('--accent') || '#0b62b8'
  values.forEach((value, i) => {
    const length = Math.max(-1, Math.min(1, value / largest)) * (middle - 2)
    context.fillRect(i * each, middle - Math.max(length, 0), Math.max(each - (each > 3 ? 1 : 0), 0.5), Math.abs(length))
  })
  context.fillStyle = style.getPropertyValue('--edge') || '#888'
  context.fillRect(0, middle, canvas.width, 1)
}
