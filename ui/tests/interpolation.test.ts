import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { between, frames, lerp, slerp } from '../src/maths/interpolation'

interface Case { stops: number[][]; steps: number; spherical: boolean; codes: number[][] }
const golden = JSON.parse(readFileSync(new URL('golden/interpolations.json', import.meta.url), 'utf8')) as { cases: Case[] }

describe('a path between stops', () => {
  it.each(golden.cases)('is what Python gives: $steps steps, spherical $spherical', ({ stops, steps, spherical, codes }) => {
    const found = frames(stops, (stops.length - 1) * (steps - 1) + 1, spherical)
    expect(found.length).toBe(codes.length)
    const errors = codes.flatMap((code, i) => code.map((value, j) => Math.abs(value - found[i]![j]!)))
    expect(Math.max(...errors)).toBeLessThan(2e-6)
  })

  it('begins and ends at its stops', () => {
    const stops = [[1, 2], [0, -1], [3, 3]]
    for (const spherical of [false, true]) {
      expect(between(stops, 0, spherical)).toEqual([1, 2])
      expect(between(stops, 1, spherical)?.map((value) => Number(value.toFixed(12)))).toEqual([3, 3])
      expect(between(stops, 0.5, spherical)?.map((value) => Number(value.toFixed(12)))).toEqual([0, -1])
    }
  })

  it('has no code below two stops, nor between codes of two models', () => {
    expect(between([[1, 2]], 0.5, false)).toBeNull()
    expect(between([[1, 2], [1, 2, 3]], 0.5, false)).toBeNull()
    expect(frames([], 12, true)).toEqual([])
  })

  it('keeps to the sphere of two stops of one length', () => {
    for (const alpha of [0.1, 0.5, 0.9]) expect(Math.hypot(...slerp([3, 0], [0, 3], alpha))).toBeCloseTo(3, 12)
    expect(Math.hypot(...lerp([3, 0], [0, 3], 0.5))).toBeCloseTo(3 / Math.SQRT2, 12)
  })
})
