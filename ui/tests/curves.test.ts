import { describe, expect, it } from 'vitest'
import { aligned, last, nearest, rows, thinned } from '../src/charts/curves'

const lines = [
  { step: 1, train: { distortion: 544.5, rate: 0.5 }, weights: { distortion: 1, rate: 4 }, learning_rate: 3e-5 },
  { step: 1, validation: { distortion: 543, std_mu: [0.02, 0.2], rate: 0.25, elbo: -543.25, sigma: [1, 1], kl: [0.008, 0.004] } },
  { step: 3, train: { distortion: null, rate: null }, weights: { distortion: 1, rate: 4 } },
  { step: 2, train: { distortion: 540, rate: 1 }, weights: { distortion: 1, rate: 4 } },
]

describe('the columns of metrics.jsonl', () => {
  it('puts training and validation of one step into one row, in order of steps', () => {
    const found = rows(lines)
    expect(found.map((row) => row.step)).toEqual([1, 2, 3])
    expect(found[0]).toEqual({
      step: 1, loss: 546.5, distortion: 544.5, rate: 0.5, validDistortion: 543, validRate: 0.25, negativeElbo: 543.25, active: 1,
    })
    expect(found[1]).toMatchObject({ loss: 544, active: null })
  })
  it('has no figure where every step was skipped, and none of an autoencoder\'s rate', () => {
    expect(rows(lines)[2]).toMatchObject({ loss: null, distortion: null })
    const points = rows([{ step: 5, validation: { distortion: 9, std_mu: [1, 1], rate: null, elbo: null } }])[0]
    expect(points).toMatchObject({ validDistortion: 9, validRate: null, negativeElbo: null, active: 2 })
  })
  it('lets a line written again replace the earlier one, and passes over what is no line', () => {
    const again = rows([...lines, { step: 2, train: { distortion: 500, rate: 0 }, weights: { distortion: 1, rate: 4 } }, {}, { step: 'x' }])
    expect(again.map((row) => row.loss)).toEqual([546.5, 500, null])
  })
  it('aligns columns on the steps where one of them is known', () => {
    expect(aligned(rows(lines), ['loss', 'negativeElbo'])).toEqual([[1, 2], [546.5, 544], [543.25, null]])
    expect(aligned([], ['loss'])).toEqual([[], []])
    expect(last(rows(lines), 'active')).toBe(1)
  })
  it('thins a table but keeps both ends', () => {
    const long = Array.from({ length: 1000 }, (_, i) => i)
    expect(thinned(long, 5)).toEqual([0, 250, 500, 749, 999])
    expect(thinned([1, 2], 5)).toEqual([1, 2])
  })
  it('finds the snapshot nearest to a step', () => {
    expect(nearest([10, 22, 50], 35)).toBe(22)
    expect(nearest([10, 22, 50], 37)).toBe(50)
    expect(nearest([], 5)).toBeNull()
  })
})
