// What a report's file holds of a session (src/legato/explorer/offline.py writes it): points, decoded tiles of one plane, fields, thumbnails.
import type { Dimension, Extent, FieldKind, Plane, Session } from '../contract'

/** Pictures side by side, row by row, each `width` × `height`. */
export interface Sheet { image: string; columns: number; width: number; height: number }
/** Whole numbers 0 … 65534 from `low` to `high`, the first row at b0; 65535 is no number. */
export interface Packed { width: number; height: number; low: number; high: number; threshold: number | null; values: string }

export interface EmbeddedModel {
  plane: Plane
  extent: [number, number, number, number] // a0, a1, b0, b1: where the first and the last tile of each axis lie
  points: string // base64 of the wire's points
  atlas: Sheet & { rows: number; failed: number[] } // tile (i, j) at column i from a0 and row j from b0
  fields: Record<FieldKind, Packed>
  dimensions: Dimension[]
  qualities?: Record<string, string> // base64 of half floats, one for each point
}
export interface Embedded {
  session: Session
  models: EmbeddedModel[]
  thumbnails: Sheet & { rows: number[]; ids: string[] }
}

export const extentOf = ([a0, a1, b0, b1]: EmbeddedModel['extent']): Extent => ({ a0, a1, b0, b1 })

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const found = atob(text)
  const bytes = new Uint8Array(found.length)
  for (let i = 0; i < found.length; i++) bytes[i] = found.charCodeAt(i)
  return bytes
}

/** A packed field's numbers; little-endian, as every machine that shows a page is. */
export function valuesOf({ values, low, high }: Pick<Packed, 'values' | 'low' | 'high'>): Float32Array {
  const steps = new Uint16Array(bytesOf(values).buffer)
  return Float32Array.from(steps, (step) => (step === 65535 ? NaN : low + (step / 65534) * (high - low)))
}
