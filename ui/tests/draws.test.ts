import { describe, expect, it } from 'vitest'
import { drawCodes, normals, uniform } from '../src/maths/draws'

describe('seeded normal draws', () => {
  // Python integers: the same generator with its 32-bit products taken modulo 2³².
  it.each([
    [0, [0.26642920868471265, 0.0003297457005828619, 0.2232720274478197]],
    [7, [0.011704753153026104, 0.06195825757458806, 0.97690763277933]],
    [4294967295, [0.8964226141106337, 0.189478256739676, 0.7156526781618595]],
  ])('seed %i gives the numbers of mulberry32', (seed, expected) => {
    const next = uniform(seed)
    expect(expected.map(() => next())).toEqual(expected)
  })
  it('turns two uniform numbers into two normal ones', () => {
    const [a, b] = normals(7, 2)
    expect(a).toBeCloseTo(0.14197043782155663, 6)
    expect(b).toBeCloseTo(0.058240714748711335, 6)
  })
  it('has the moments of N(0, 1) and no correlation from one number to the next', () => {
    const drawn = normals(3, 100_000)
    const mean = (of: (value: number, i: number) => number) => drawn.reduce((sum, value, i) => sum + of(value, i), 0) / drawn.length
    expect(Math.abs(mean((x) => x))).toBeLessThan(0.0127) // 4 standard errors
    expect(Math.abs(mean((x) => x * x) - 1)).toBeLessThan(0.018)
    expect(Math.abs(mean((x) => x ** 4) - 3)).toBeLessThan(0.124)
    expect(Math.abs(mean((x, i) => x * (drawn[i + 1] ?? 0)))).toBeLessThan(0.0127)
  })
  it('gives the same codes for the same seed and others for the next', () => {
    expect(drawCodes(5, 16, 3, 1)).toEqual(drawCodes(5, 16, 3, 1))
    expect(drawCodes(5, 16, 3, 1)).not.toEqual(drawCodes(6, 16, 3, 1))
    expect(drawCodes(5, 16, 3, 1).map((code) => code.length)).toEqual(Array(16).fill(3))
  })
  it('scales deviations, not the mean', () => {
    const [plain, moved] = [drawCodes(5, 4, 2, 1), drawCodes(5, 4, 2, 0.5, [10, -10], [2, 4])]
    moved.forEach((code, i) => {
      expect(code[0]).toBeCloseTo(10 + 0.5 * 2 * plain[i]![0]!, 5)
      expect(code[1]).toBeCloseTo(-10 + 0.5 * 4 * plain[i]![1]!, 5)
    })
    expect(drawCodes(5, 2, 2, 0, [1, 2], [3, 3]).map((code) => [...code])).toEqual([[1, 2], [1, 2]])
  })
})
