// A field's numbers as a picture: its colours, and hatching over holes so that colour alone never says it.
import type { Extent, Field, FieldKind } from '../contract'
import { sample } from '../maths/fields'
import { cividis, viridis, type Rgb } from './colours'
import type { Picture } from './scene'

export const GROUNDS: Record<FieldKind, { name: string; colours: Uint8Array }> = {
  density: { name: 'density of the codes', colours: viridis },
  holes: { name: 're-encoding error', colours: cividis },
  support: { name: 'log q̂ − log p', colours: viridis },
  speed: { name: 'decoder speed √det JᵀJ', colours: viridis },
}

export interface Scale { low: number; high: number; log: boolean }
const DECADES = 3 // of a density that are told apart

/** What a field's colours span. Densities spike, an autoencoder's most of all: theirs are logarithms, up to the 99 % quantile. */
export function scaleOf(field: Field, kind: FieldKind): Scale {
  if (kind !== 'density') return { low: field.low, high: field.high, log: false }
  const sorted = field.values.filter((value) => value > 0 && Number.isFinite(value)).sort()
  const high = sorted[Math.floor(0.99 * (sorted.length - 1))] ?? 1
  return { low: high / 10 ** DECADES, high, log: true }
}

export function shareOf({ low, high, log }: Scale, value: number): number {
  const share = log ? 1 + Math.log10(Math.max(value, 1e-300) / high) / DECADES : (value - low) / (high - low || 1)
  return Math.min(1, Math.max(0, share))
}

/** Whether a field's value says that the data never goes there. */
export function isHole(kind: FieldKind, value: number, threshold: number): boolean {
  if (kind === 'holes') return value > threshold
  return kind === 'support' && value < threshold
}

/** rgba of `size` × `size` pixels, the top row at b1. */
export function fieldPixels(field: Field, kind: FieldKind, size: number): Uint8ClampedArray<ArrayBuffer> {
  const { colours } = GROUNDS[kind]
  const rgba = new Uint8ClampedArray(4 * size * size)
  const scale = scaleOf(field, kind)
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const value = sample(field, (x + 0.5) / size, 1 - (y + 0.5) / size)
      if (!Number.isFinite(value)) continue
      const step = 3 * Math.round(255 * shareOf(scale, value))
      const hatched = (x + y) % 10 < 2 && isHole(kind, value, field.threshold)
      const at = 4 * (y * size + x)
      const stroke = colours[step]! + colours[step + 1]! > 255 ? 0 : 255 // dark on yellow, light on blue
      for (let c = 0; c < 3; c++) rgba[at + c] = hatched ? 0.45 * colours[step + c]! + 0.55 * stroke : colours[step + c]!
      rgba[at + 3] = 235
    }
  return rgba
}

/** Density as a veil of one ink: thick where many codes lie. */
export function veilPixels(field: Field, ink: Rgb, size: number): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * size * size)
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const share = (sample(field, (x + 0.5) / size, 1 - (y + 0.5) / size) - Math.max(0, field.low)) / (field.high - field.low || 1)
      rgba.set([ink[0], ink[1], ink[2], 200 * (1 - Math.exp(-3 * Math.max(0, share)))], 4 * (y * size + x))
    }
  return rgba
}

export function pictureOf(rgba: Uint8ClampedArray<ArrayBuffer>, size: number, extent: Extent): Picture {
  const image = document.createElement('canvas')
  image.width = image.height = size
  image.getContext('2d')!.putImageData(new ImageData(rgba, size, size), 0, 0)
  return { image, extent, smooth: true }
}
