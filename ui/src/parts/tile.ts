// Draws one decoded example into a canvas: a picture's own pixels, or a table's row as bars.
import type { Tile } from '../contract'

/** The largest whole number of screen pixels for one of the tile's, at least 1. */
export const scaleOf = (tile: Pick<Tile, 'width' | 'height'>, size: number): number =>
  Math.max(1, Math.floor(size / Math.max(tile.width, tile.height, 1)))

export function paintTile(canvas: HTMLCanvasElement, tile: Tile, size: number): void {
  if (tile.values) return paintBars(canvas, tile.values, size)
  if (canvas.width !== tile.width || canvas.height !== tile.height) {
    canvas.width = tile.width
    canvas.height = tile.height
  }
  const largest = Math.max(tile.width, tile.height)
  const scale = largest > size ? size / largest : scaleOf(tile, size)
  canvas.style.width = `${tile.width * scale}px`
  canvas.style.height = `${tile.height * scale}px`
  const context = canvas.getContext('2d')
  if (!context) return
  if (tile.failed !== null || !tile.rgba) return context.clearRect(0, 0, tile.width, tile.height)
  context.putImageData(new ImageData(tile.rgba as Uint8ClampedArray<ArrayBuffer>, tile.width, tile.height), 0, 0)
}

/** Bars up and down from zero, scaled by the row's own largest value. */
function paintBars(canvas: HTMLCanvasElement, values: Float32Array, size: number): void {
  const ratio = globalThis.devicePixelRatio || 1
  canvas.width = canvas.height = Math.round(size * ratio)
  canvas.style.width = canvas.style.height = `${size}px`
  const context = canvas.getContext('2d')
  if (!context) return
  let largest = 1e-9
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
  const style = getComputedStyle(canvas)
  const middle = canvas.height / 2
  const each = canvas.width / values.length
  context.fillStyle = style.getPropertyValue('--accent') || '#0b62b8'
  values.forEach((value, i) => {
    const length = (value / largest) * (middle - 2)
    context.fillRect(i * each, middle - Math.max(length, 0), Math.max(each - (each > 3 ? 1 : 0), 0.5), Math.abs(length))
  })
  context.fillStyle = style.getPropertyValue('--edge') || '#888'
  context.fillRect(0, middle, canvas.width, 1)
}
