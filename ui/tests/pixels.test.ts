import { describe, expect, it } from 'vitest'
import type { Tile } from '../src/contract'
import { difference, diverging, numbers, rms, stepLengths } from '../src/panels/pixels'

const picture = (...greys: number[]): Tile => ({
  width: greys.length, height: 1, rgba: new Uint8ClampedArray(greys.flatMap((grey) => [grey, grey, grey, 255])), values: null, failed: null,
})
const row = (...values: number[]): Tile => ({ width: values.length, height: 1, rgba: null, values: new Float32Array(values), failed: null })
const failed: Tile = { width: 1, height: 1, rgba: null, values: null, failed: 'not finite' }

describe('the distance of two tiles', () => {
  it('is the root mean square over pixels, in 0 … 1', () => {
    expect(rms(picture(0, 0), picture(255, 0))).toBeCloseTo(Math.SQRT1_2, 6)
    expect(rms(picture(10, 20), picture(10, 20))).toBe(0)
  })
  it('is in the data\'s own units for a table\'s row', () => expect(rms(row(0, 3, 0, 0), row(0, 0, 4, 0))).toBeCloseTo(2.5, 6))
  it('does not exist where one failed or sizes differ', () => {
    expect(rms(failed, picture(0))).toBeNull()
    expect(rms(row(1, 2), row(1))).toBeNull()
    expect(numbers(failed)).toBeNull()
  })
  it('is given for each step of a path', () => {
    const steps = stepLengths([picture(0), picture(51), picture(51), picture(255)])
    expect(steps.map((step) => Number(step!.toFixed(6)))).toEqual([0.2, 0, 0.8])
    expect(stepLengths([])).toEqual([])
  })
})

describe('before and after', () => {
  it('is signed, and its peak is the largest of either sign', () => {
    const found = difference(picture(255, 0), picture(0, 51))!
    expect(Array.from(found.values, (value) => Number(value.toFixed(6)))).toEqual([-1, 0.2])
    expect(found.peak).toBeCloseTo(1, 6)
    expect(found.rms).toBeCloseTo(Math.sqrt((1 + 0.04) / 2), 6)
  })
  it('averages colours for the map but not for the RMS', () => {
    const red: Tile = { width: 1, height: 1, rgba: new Uint8ClampedArray([255, 0, 0, 255]), values: null, failed: null }
    const found = difference(picture(0), red)!
    expect(found.values[0]).toBeCloseTo(1 / 3, 6)
    expect(found.rms).toBeCloseTo(Math.sqrt(1 / 3), 6)
  })
  it('is white at 0, blue below, red above, and whole at the peak', () => {
    expect([...diverging([0, -2, 2, 9], 2)]).toEqual([247, 247, 247, 255, 33, 102, 172, 255, 178, 24, 43, 255, 178, 24, 43, 255])
    expect([...diverging([5], 0)]).toEqual([247, 247, 247, 255])
  })
})
