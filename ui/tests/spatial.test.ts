import { describe, expect, it } from 'vitest'
import { channelOf, patched, reachOf, spatial, type Shape3 } from '../src/maths/spatial'

const shape: Shape3 = [2, 2, 3]
const z = Array.from({ length: 12 }, (_, i) => i)
const brush = z.map((value) => 100 + value)

describe('a spatial code', () => {
  it('is one of three sides', () => {
    expect(spatial([4, 8, 8])).toEqual([4, 8, 8])
    expect([spatial([16]), spatial(undefined)]).toEqual([null, null])
  })
  it('lies channel by channel', () => expect(channelOf(z, shape, 1)).toEqual([6, 7, 8, 9, 10, 11]))
  it('takes one place of another in all channels, and no more', () => {
    expect(patched(z, brush, shape, 1, 2, 1)).toEqual([0, 1, 2, 3, 4, 105, 6, 7, 8, 9, 10, 111])
    expect(z[5]).toBe(5)
  })
  it('takes a square of them, cut at the edges', () => {
    expect(patched(z, brush, shape, 0, 0, 3)).toEqual([100, 101, 2, 103, 104, 5, 106, 107, 8, 109, 110, 11])
    expect(patched(z, brush, shape, 0, 0, 9)).toEqual(brush)
  })
  it('is coloured as far as three deviations of its channel', () => {
    expect(reachOf(z, z.map(() => 3), z.map(() => 4), shape, 0)).toBeCloseTo(15)
    expect(reachOf(z, [], [], shape, 1)).toBe(11)
  })
})
