import { describe, expect, it } from 'vitest'
import { viridis } from '../src/map/colours'
import { bounds, classesOf, histogram, inkAt, quantile, shaded, shadeOf } from '../src/map/shade'
import { withRoom } from '../src/map/thumbnails'

const quality = { key: 'error', name: 'error', unit: '', group: 'model' as const, classes: null }
const values = Float32Array.from({ length: 101 }, (_, i) => i)
const full = () => new Uint8Array(4 * values.length).fill(255)

describe('colours of a measure', () => {
  const shade = shadeOf(quality, values)
  it('span all but a hundredth on either side', () => expect([shade.low, shade.high, quantile(shade, 0.5)]).toEqual([1, 99, 50]))
  it('run along viridis, the ends for what lies beyond', () => {
    const rgba = shaded(full(), shade, [0, 1], true)
    const at = (i: number) => [...rgba.subarray(4 * i, 4 * i + 3)]
    expect(at(0)).toEqual(at(1))
    expect(at(100)).toEqual([...viridis.subarray(3 * 255)])
    expect(at(50)).toEqual([...viridis.subarray(inkAt(shade, 50, true), inkAt(shade, 50, true) + 3)])
  })
  it('hide what is out of range, and never show what was hidden', () => {
    const before = full()
    before.fill(0, 4 * 80, 4 * 81)
    const rgba = shaded(before, shade, [0.75, 0.9], false)
    const shown = [...values.keys()].filter((i) => rgba[4 * i + 3])
    expect(shown).toEqual([...values.keys()].filter((i) => i >= 75 && i <= 90 && i !== 80))
    expect(bounds(shade, [0, 1])).toEqual([-Infinity, Infinity])
  })
  it('a value that is no number is grey, and in no part of the range', () => {
    const holed = shadeOf(quality, Float32Array.of(NaN, 1, 2))
    expect([...shaded(new Uint8Array(12).fill(255), holed, [0, 1], false).subarray(0, 4)]).toEqual([150, 157, 168, 255])
    expect(shaded(new Uint8Array(12).fill(255), holed, [0, 0.9], false)[3]).toBe(0)
    expect(histogram(shade, 10).reduce((sum, count) => sum + count)).toBe(101)
  })
  it('a constant has one colour', () => expect(inkAt(shadeOf(quality, Float32Array.of(3, 3)), 3, true)).toBeGreaterThan(0))
  it('classes are numbered, none is 65535', () => expect([...classesOf(Float32Array.of(0, 2, -1))]).toEqual([0, 2, 65535]))
})

describe('pictures on the map', () => {
  const size = { width: 200, height: 100 }
  it('lie on no other, and none more would', () => {
    const spots = Array.from({ length: 3000 }, (_, i) => ({ x: (i * 7919) % 230, y: (i * 104729) % 120 }))
    const chosen = withRoom(spots.length, size, 30, (i) => spots[i]!)
    const clash = (i: number, j: number) => Math.abs(spots[i]!.x - spots[j]!.x) < 30 && Math.abs(spots[i]!.y - spots[j]!.y) < 30
    expect(chosen.some((i) => chosen.some((j) => i !== j && clash(i, j)))).toBe(false)
    const inside = (i: number) => spots[i]!.x <= 200 && spots[i]!.y <= 100
    expect(spots.every((_, i) => !inside(i) || chosen.some((j) => clash(i, j)))).toBe(true)
  })
  it('stay where they are while there is room, and hidden points have none', () => {
    const spots = [{ x: 10, y: 10 }, { x: 15, y: 10 }, { x: 90, y: 50 }]
    expect(withRoom(3, size, 30, (i) => spots[i]!, [1])).toEqual([1, 2])
    expect(withRoom(3, size, 30, (i) => (i ? spots[i]! : null))).toEqual([1, 2])
  })
})
