// The bytes of docs/explorer.md: cursor frames in both directions, tiles, points and fields. Little-endian throughout.
import type { Code, Field, ModelIndex, Points, Tile } from './contract'

export const DECODE = 1
const RGBA = 0
const VALUES = 2
const ERROR = 255

export interface Asked { seq: number; op: number; model: ModelIndex; step: number; z: Code }
export interface Answered { seq: number; op: number; model: ModelIndex; tile: Tile }

/** `u32 seq | u8 op | u8 model | u16 step | f32[d]`; step 0: the finished model, n: the n-th snapshot. */
export function askFrame({ seq, op, model, step, z }: Asked): ArrayBuffer {
  const bytes = new ArrayBuffer(8 + 4 * z.length)
  const view = new DataView(bytes)
  view.setUint32(0, seq, true)
  view.setUint8(4, op)
  view.setUint8(5, model)
  view.setUint16(6, step, true)
  z.forEach((value, i) => view.setFloat32(8 + 4 * i, value, true))
  return bytes
}

/** `u32 seq | u8 op | u8 model | u8 fmt | u8 c | u16 w | u16 h | payload`. Throws where the length does not fit. */
export function answerFrame(bytes: ArrayBuffer): Answered {
  if (bytes.byteLength < 12) throw new Error(`a frame of ${bytes.byteLength} bytes is no answer`)
  const view = new DataView(bytes)
  const [width, height, fmt] = [view.getUint16(8, true), view.getUint16(10, true), view.getUint8(6)]
  const tile = fmt === ERROR ? failed(new TextDecoder().decode(bytes.slice(12))) : tileOf(bytes, 12, fmt, width, height)
  return { seq: view.getUint32(0, true), op: view.getUint8(4), model: view.getUint8(5) === 1 ? 1 : 0, tile }
}

export function failed(why: string, width = 0, height = 0): Tile {
  return { width, height, rgba: null, values: null, failed: why || 'no answer' }
}

function tileOf(bytes: ArrayBuffer, at: number, fmt: number, width: number, height: number): Tile {
  const length = 4 * width * (fmt === RGBA ? height : 1)
  if (at + length > bytes.byteLength) throw new Error(`a tile of ${width} × ${height} in ${bytes.byteLength - at} bytes`)
  if (fmt === RGBA) return { width, height, rgba: new Uint8ClampedArray(bytes, at, length), values: null, failed: null }
  if (fmt === VALUES) return { width, height, rgba: null, values: floats(bytes, at, width), failed: null }
  throw new Error(`format ${fmt} is unknown`)
}

/** `u32 n | u16 w | u16 h | u8 c | u8 fmt | u16 0 | flags u8[n], padded to 4 | payload`. */
export function tilesOf(bytes: ArrayBuffer): Tile[] {
  const view = new DataView(bytes)
  const [n, width, height, fmt] = [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true), view.getUint8(9)]
  const flags = new Uint8Array(bytes, 12, n)
  const start = 12 + 4 * Math.ceil(n / 4)
  const each = 4 * width * (fmt === RGBA ? height : 1)
  return Array.from(flags, (flag, i) =>
    flag ? failed('not a finite number', width, height) : tileOf(bytes, start + i * each, fmt, width, height))
}

/** `u32 n | u32 d | u32 0 | u32 0 | f32[n][2] | u32[n] row + (off << 24) | f16[n][3] | u16[n]`. */
export function pointsOf(bytes: ArrayBuffer): Points {
  const n = new DataView(bytes).getUint32(0, true)
  if (bytes.byteLength < 16 + 20 * n) throw new Error(`${n} points in ${bytes.byteLength} bytes`)
  const packed = new Uint32Array(bytes, 16 + 8 * n, n)
  const off = new Uint8Array(n)
  const row = new Uint32Array(n)
  for (let i = 0; i < n; i++) {
    row[i] = packed[i]! & 0xffffff
    off[i] = packed[i]! >>> 24
  }
  return {
    n, row, off, xy: new Float32Array(bytes, 16, 2 * n),
    cov: new Uint16Array(bytes, 16 + 12 * n, 3 * n), label: new Uint16Array(bytes, 16 + 18 * n, n),
  }
}

/** `u32 w | u32 h | f32 low | f32 high | f32 threshold | u32 0 | f32[h][w]`, the first row at b0. */
export function fieldOf(bytes: ArrayBuffer): Field {
  const view = new DataView(bytes)
  const [width, height] = [view.getUint32(0, true), view.getUint32(4, true)]
  const [low, high, threshold] = [8, 12, 16].map((at) => view.getFloat32(at, true)) as [number, number, number]
  return { width, height, low, high, threshold, values: floats(bytes, 24, width * height) }
}

/** Copied: a view would need an offset that is a multiple of 4. */
const floats = (bytes: ArrayBuffer, at: number, n: number): Float32Array => new Float32Array(bytes.slice(at, at + 4 * n))
