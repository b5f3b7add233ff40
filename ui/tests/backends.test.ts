import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Points } from '../src/contract'
import { Atlas, between, OUTSIDE } from '../src/backends/atlas'
import { bytesOf, valuesOf } from '../src/backends/embedded'
import { resampled, valueAt } from '../src/backends/fields'
import { Known } from '../src/backends/known'
import { Latest } from '../src/backends/latest'
import { tileFrom, unpacked } from '../src/backends/ort'
import { hosted } from '../src/backends/style'

/** A sheet of 3 × 2 grey tiles of 2 × 1 pixels; tile (i, j) is 10·(3j + i) and, in its second pixel, one more. */
function atlas(failed: number[] = []): Atlas {
  const [columns, rows, width, height] = [3, 2, 2, 1]
  const pixels = new Uint8ClampedArray(4 * columns * width * rows * height)
  for (let j = 0; j < rows; j++)
    for (let i = 0; i < columns; i++)
      for (let x = 0; x < width; x++) {
        const grey = 10 * (columns * j + i) + x
        pixels.set([grey, grey, grey, 255], 4 * (j * columns * width + i * width + x))
      }
  return new Atlas({ columns, rows, width, height, failed }, pixels, { a0: -1, a1: 1, b0: 0, b1: 2 })
}
const greys = (tile: { rgba: Uint8ClampedArray | null }) => [tile.rgba![0], tile.rgba![4]]

describe('an atlas', () => {
  it('gives the very tile at each place of the lattice, the first row at b0', () => {
    for (let j = 0; j < 2; j++) for (let i = 0; i < 3; i++) expect(greys(atlas().at(-1 + i, 2 * j))).toEqual([10 * (3 * j + i), 10 * (3 * j + i) + 1])
    expect(atlas().at(0, 0).rgba![3]).toBe(255)
  })
  it('blends the four around a place between them, by their nearness', () => {
    expect(greys(atlas().at(-0.5, 0))).toEqual([5, 6])
    expect(greys(atlas().at(0, 1))).toEqual([25, 26]) // halfway from 10 to 40
    expect(greys(atlas().at(0.2, 0.4))).toEqual([0.8 * 12 + 0.2 * 42, 0.8 * 13 + 0.2 * 43])
  })
  it('is continuous along the way from tile to tile', () => {
    let last = greys(atlas().at(-1, 0.3))[0]!
    for (let a = -1; a <= 1; a += 0.01) {
      const now = greys(atlas().at(a, 0.3))[0]!
      expect(Math.abs(now - last)).toBeLessThanOrEqual(1)
      last = now
    }
  })
  it('says so beyond its edge, and where the decoder gave no number', () => {
    expect(atlas().at(1.2, 0)).toMatchObject({ rgba: null, failed: OUTSIDE })
    expect(atlas().at(NaN, 0)).toMatchObject({ failed: OUTSIDE })
    expect(atlas([1]).at(-0.5, 0).failed).toMatch('finite')
    expect(atlas([1]).at(-1, 0).failed).toBeNull() // whole at its own place, whatever its neighbour is
  })
  it('finds the last tile at the last place', () => {
    expect(between(1, -1, 1, 5)).toEqual([3, 1])
    expect(between(-1, -1, 1, 5)).toEqual([0, 0])
    expect(between(1.0000001, -1, 1, 5)).toEqual([3, 1])
    expect(between(-1.01, -1, 1, 5)).toBeNull()
  })
})

describe('what a file holds', () => {
  it('unpacks two bytes a cell, the last value standing for none', () => {
    const steps = Uint16Array.of(0, 32767, 65534, 65535)
    const text = btoa(String.fromCharCode(...new Uint8Array(steps.buffer)))
    expect([...bytesOf(text)]).toEqual([...new Uint8Array(steps.buffer)])
    expect([...valuesOf({ values: text, low: -2, high: 2 })]).toEqual([-2, 0, 2, NaN])
  })
  const field = { width: 2, height: 2, low: 0, high: 3, threshold: 1, values: Float32Array.of(0, 1, 2, 3), extent: { a0: 0, a1: 2, b0: 0, b1: 2 } }
  it('reads a field at the cells it was measured at, and nothing beyond', () => {
    const same = resampled(field, field.extent, 2)
    expect([same.width, same.height, ...same.values]).toEqual([2, 2, 0, 1, 2, 3])
    expect(same).toMatchObject({ low: 0, high: 3, threshold: 1 })
    expect(valueAt(field, 1, 1)).toBe(1.5)
    expect(valueAt(field, 2.1, 1)).toBeNaN()
    expect(resampled(field, { a0: 0, a1: 2, b0: 0, b1: 1 }, 4)).toMatchObject({ width: 4, height: 2 })
  })
})

describe('the points of a file', () => {
  const half = (value: number) => ({ 0.25: 0x3400, 4: 0x4400, 0: 0 })[value]!
  const points: Points = {
    n: 3, xy: Float32Array.of(0, 0, 1, 0, 0, 3), row: Uint32Array.of(50, 7, 9), off: new Uint8Array(3),
    cov: Uint16Array.of(half(0.25), 0, half(4), half(4), 0, half(0.25), 0, 0, 0), label: Uint16Array.of(1, 65535, 2),
  }
  const known = new Known(points, { u: [1, 0], v: [0, 1], anchor: [0, 0] }, [1, 10])
  it('gives an image its μ and σ back', () => {
    expect(known.code(7)).toEqual({ mu: [1, 0], sigma: [2, 0.5] })
    expect(known.code(8)).toBeNull()
  })
  it('finds the nearest in deviations of the codes, among those with a picture', () => {
    expect(known.nearest(0, 2, 2, 3)).toEqual({ places: [2, 0], distances: [0.1, 0.2] })
    expect(known.nearest(0, 2, 2, 2).places).toEqual([0, 1])
    expect(known.located([2, 1], [0.1, 1], ['a', 'b', 'c'], -3, -2)).toMatchObject({ rows: [9, 7], labels: [2, -1], ids: ['c', 'b'], inside: false })
  })
})

it('turns a page\'s style into a shadow tree\'s', () => {
  const css = ':root{--a:1}:root[data-theme=dark]{--a:2}html{font:1px}body{margin:0}.html{x:1}@media print{html{y:1}}.body, body{z:1}'
  expect(hosted(css)).toBe(':host{--a:1}:host([data-theme=dark]){--a:2}:host{font:1px}:host{margin:0}.html{x:1}@media print{:host{y:1}}.body,:host{z:1}')
})

describe('a live file', () => {
  it('rounds and clips values to pixels, grey or colour, and never draws what is no number', () => {
    expect([...tileFrom(Float32Array.of(0, 0.5, 1.2, -1), [1, 1, 4]).rgba!].filter((_, i) => i % 4 === 0)).toEqual([0, 128, 255, 0])
    expect([...tileFrom(Float32Array.of(9, 0.1, 0.2, 0.4), [3, 1, 1], 1).rgba!]).toEqual([26, 51, 102, 255])
    expect(tileFrom(Float32Array.of(NaN), [1, 1, 1])).toMatchObject({ rgba: null, failed: 'the decoder gives no finite number here' })
  })
  it('unpacks gzip in base64', async () => {
    const packed = gzipSync(Uint8Array.of(1, 2, 3, 250)).toString('base64')
    expect([...(await unpacked(packed))]).toEqual([1, 2, 3, 250])
  })
  it('decodes one place at a time and, of those that wait, the newest', async () => {
    const [latest, done, ends]: [Latest, number[], (() => void)[]] = [new Latest(), [], []]
    const work = (n: number) => latest.run(() => new Promise<void>((end) => ends.push(() => (done.push(n), end()))))
    const first = work(1)
    void work(2)
    void work(3)
    expect(ends).toHaveLength(1)
    ends[0]!()
    await new Promise((resume) => setTimeout(resume))
    expect(ends).toHaveLength(2)
    ends[1]!()
    await first
    expect(done).toEqual([1, 3])
  })
  it('goes on after a place that failed', async () => {
    const latest = new Latest()
    await latest.run(() => Promise.reject(new Error('no')))
    let after = false
    await latest.run(async () => void (after = true))
    expect(after).toBe(true)
  })
})
