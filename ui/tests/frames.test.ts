import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { answerFrame, askFrame, fieldOf, pointsOf, tilesOf } from '../src/frames'
import { halfToFloat } from '../src/maths/clouds'

interface Golden {
  asked: { seq: number; op: number; model: 0 | 1; step: number; z: (number | null)[]; hex: string }[]
  answered: { seq: number; op: number; model: number; fmt: number; w: number; h: number; payload: number[] | string; hex: string }[]
  points: { xy: number[][]; rows: number[]; off: number[]; covariance: number[][]; label: number[]; hex: string }
  tiles: { n: number; w: number; h: number; fmt: number; failed: number[]; payload: number[]; hex: string }[]
  fields: { w: number; h: number; low: number; high: number; threshold: number | null; values: (number | null)[]; hex: string }[]
}
const golden = JSON.parse(readFileSync(new URL('../../tests/golden/explorer_frames.json', import.meta.url), 'utf8')) as Golden
const bytes = (hex: string): ArrayBuffer => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer
const hex = (buffer: ArrayBuffer): string => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, '0')).join('')
const number = (value: number | null): number => value ?? NaN

describe('the bytes that Python writes and reads', () => {
  it.each(golden.asked)('asks $seq', (asked) => {
    expect(hex(askFrame({ ...asked, z: Float32Array.from(asked.z, number) }))).toBe(asked.hex)
  })

  it.each(golden.answered)('is answered $seq', (answered) => {
    const { seq, op, model, tile } = answerFrame(bytes(answered.hex))
    expect({ seq, op, model }).toEqual({ seq: answered.seq, op: answered.op, model: answered.model })
    if (typeof answered.payload === 'string') return expect(tile).toMatchObject({ failed: answered.payload, rgba: null, values: null })
    expect(tile).toMatchObject({ width: answered.w, height: answered.h, failed: null })
    expect(Array.from(tile.rgba ?? tile.values ?? [])).toEqual(answered.payload)
  })

  it('reads points', () => {
    const points = pointsOf(bytes(golden.points.hex))
    expect(points.n).toBe(golden.points.rows.length)
    expect(Array.from(points.xy)).toEqual(golden.points.xy.flat())
    expect(Array.from(points.row)).toEqual(golden.points.rows)
    expect(Array.from(points.off)).toEqual(golden.points.off)
    expect(Array.from(points.label)).toEqual(golden.points.label)
    expect(Array.from(points.cov, halfToFloat)).toEqual(golden.points.covariance.flat())
  })

  it.each(golden.tiles)('reads $n tiles of $w × $h', (expected) => {
    const tiles = tilesOf(bytes(expected.hex))
    expect(tiles.map((tile) => Number(tile.failed !== null))).toEqual(expected.failed)
    const each = expected.payload.length / expected.n / (expected.fmt === 2 ? 4 : 1)
    const payload = Uint8Array.from(expected.payload)
    tiles.forEach((tile, i) => {
      if (tile.failed !== null) return expect(tile.rgba ?? tile.values).toBeNull()
      const own = expected.fmt === 0 ? payload.slice(i * each, (i + 1) * each) : new Float32Array(payload.buffer.slice(4 * i * each, 4 * (i + 1) * each))
      expect(Array.from(tile.rgba ?? tile.values ?? [])).toEqual(Array.from(own))
    })
  })

  it.each(golden.fields)('reads a field of $w × $h', (expected) => {
    const field = fieldOf(bytes(expected.hex))
    expect([field.width, field.height, field.low, field.high, field.threshold]).toEqual(
      [expected.w, expected.h, expected.low, expected.high, number(expected.threshold)])
    expect(Array.from(field.values)).toEqual(expected.values.map(number))
  })

  it('refuses what is too short', () => {
    expect(() => answerFrame(new ArrayBuffer(5))).toThrow('5 bytes')
    expect(() => answerFrame(bytes(golden.answered[0]!.hex).slice(0, 14))).toThrow('tile')
    expect(() => pointsOf(bytes(golden.points.hex).slice(0, 40))).toThrow('points')
  })
})
