import { describe, expect, it } from 'vitest'
import type { Dimension } from '../src/contract'
import { across, dimensionAxes, directionAxes, stations } from '../src/panels/axes'

const dim = (index: number, kl: number | null, std: number, collapsed = false): Dimension => ({ index, kl, std, sigma: 0.3, low: -2, high: 4, collapsed })

describe('a dimension as an axis', () => {
  it('is sorted by KL, by Std μ where there is none', () => {
    expect(dimensionAxes([dim(0, 0.5, 9), dim(1, 2, 1), dim(2, 0.004, 0.1)]).map((axis) => axis.name)).toEqual(['z1', 'z0', 'z2'])
    expect(dimensionAxes([dim(0, null, 1), dim(1, null, 3)]).map((axis) => axis.figure)).toEqual(['std 3.00', 'std 1.00'])
  })
  it('is marked unused below 0.01 nat, or where the server says so', () => {
    expect(dimensionAxes([dim(0, 0.0099, 1), dim(1, 0.01, 1), dim(2, null, 0.001, true)]).map((axis) => [axis.name, axis.collapsed]))
      .toEqual([['z1', false], ['z0', true], ['z2', true]])
  })
  it('changes only its own number', () => {
    const [axis] = dimensionAxes([dim(1, 2, 1)])
    expect(axis!.at([0.1, 0.2, 0.3], -1.5)).toEqual([0.1, -1.5, 0.3])
    expect(axis!.value([0.1, 0.2, 0.3])).toBe(0.2)
  })
  it('has its strip at equal distances from low to high', () => {
    expect(stations(dimensionAxes([dim(0, 1, 1)])[0]!)).toEqual([-2, -1, 0, 1, 2, 3, 4])
  })
  it('shares one strip among codes that differ along it only', () => {
    const [axis] = dimensionAxes([dim(0, 1, 1)])
    expect(across(axis!, [0, 5])).toBe(across(axis!, [9, 5]))
    expect(across(axis!, [0, 5])).not.toBe(across(axis!, [0, 6]))
  })
})

describe('a direction at the cursor', () => {
  const plane = { u: [0.6, 0.8, 0], v: [0, 0, 1], anchor: [1, 1, 1] }
  const [u, v] = directionAxes(plane, [dim(0, 1, 1), dim(1, 1, 1), dim(2, 1, 1)])
  it('is measured from its anchor and moves nothing across itself', () => {
    expect(u!.value([1, 1, 1])).toBe(0)
    const moved = u!.at([1, 1, 1], 2)
    expect(moved.map((value) => Number(value.toFixed(9)))).toEqual([2.2, 2.6, 1])
    expect(u!.value(moved)).toBeCloseTo(2, 9)
    expect(v!.value(moved)).toBeCloseTo(0, 9)
  })
  it('reaches as far as the dimensions do, and is named by its largest parts', () => {
    expect([u!.low, u!.high].map((value) => Number(value.toFixed(9)))).toEqual([-3, 3])
    expect([u!.figure, v!.figure]).toEqual(['0.8 z1 +0.6 z0', '1.0 z2'])
  })
  it('comes with those that the server found, longer bars for what changes the image more', () => {
    const found = directionAxes({ ...plane, directions: [[0, 0, 1], [1, 0, 0], [0, 1, 0]], stretch: [4, 2, 1] }, [dim(0, 1, 1)])
    expect(found.map((axis) => [axis.name, axis.figure, axis.weight])).toEqual([['d1', '1.0 z2', 1], ['d2', '1.0 z0', 0.5], ['d3', '1.0 z1', 0.25]])
  })
})
