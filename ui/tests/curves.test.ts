import { describe, expect, it } from 'vitest'
import { further, last, nearest, rows, thinned } from '../src/charts/curves'
import { across, lineOf, near, plotOf, rowNear, stepAt, ticks, upward } from '../src/charts/plot'

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
  it('knows the last figure of a column', () => {
    expect(last(rows(lines), 'loss')).toBe(544)
    expect(last(rows(lines), 'active')).toBe(1)
  })
  it('thins a table but keeps both ends', () => {
    const long = Array.from({ length: 1000 }, (_, i) => i)
    expect(thinned(long, 5)).toEqual([0, 250, 500, 749, 999])
    expect(thinned([1, 2], 5)).toEqual([1, 2])
  })
  it('has columns for what only some objectives have: terms, players, weights that change', () => {
    const train = (step: number, weight: number) => ({
      step, train: { distortion: 90, rate: 20, 'total correlation': 0.5 }, weights: { distortion: weight, rate: 1 }, players: { critic: 0.69 },
    })
    const found = rows([lines[1]!, train(1, 1), train(2, 1.5), { ...lines[1]!, step: 3 }])
    expect(found[1]).toMatchObject({ 'part total correlation': 0.5, 'player critic': 0.69, 'weight distortion': 1.5 })
    expect(further(found).map(({ title }) => title)).toEqual(['total correlation', 'loss of the critic', 'weight of the reconstruction'])
    expect(last(found, 'weight distortion')).toBe(1.5)
    expect(found[2]!['player critic']).toBeNull()
    expect(further(rows(lines))).toEqual([])
  })
  it('finds the snapshot nearest to a step', () => {
    expect(nearest([10, 22, 50], 35)).toBe(22)
    expect(nearest([10, 22, 50], 37)).toBe(50)
    expect(nearest([], 5)).toBeNull()
  })
})

describe('a chart', () => {
  const box = { left: 40, top: 10, width: 100, height: 50 }
  it('has round ticks within its range, and none where there is no range', () => {
    expect(ticks({ low: 0, high: 1 }, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1])
    expect(ticks({ low: 101.3, high: 149 }, 3)).toEqual([120, 140])
    expect(ticks({ low: -0.3, high: 0.3 }, 4)).toEqual([-0.2, 0, 0.2])
    expect(ticks({ low: 1, high: 1 }, 4)).toEqual([])
  })
  it('spans the steps that have a figure, both ways', () => {
    const plot = plotOf(rows(lines), ['loss'], box, false)
    expect(plot.steps).toEqual({ low: 1, high: 2 })
    expect([across(plot, 1), across(plot, 2), upward(plot, plot.values.low), upward(plot, plot.values.high)]).toEqual([40, 140, 60, 10])
    expect([stepAt(plot, 90), stepAt(plot, 0), stepAt(plot, 999)]).toEqual([1.5, 1, 2])
  })
  it('lets the first steps run out of it', () => {
    const { low, high } = near([900, ...Array.from({ length: 40 }, (_, i) => 100 + (i % 10))])
    expect(low).toBeLessThan(100)
    expect(high).toBeGreaterThan(109)
    expect(high).toBeLessThan(200)
  })
  it('strokes 30,000 steps with at most four spots a pixel and keeps the extremes', () => {
    const many = rows(Array.from({ length: 30_000 }, (_, step) => ({ step, train: { distortion: step === 11234 ? -7 : Math.sin(step) } })))
    const plot = plotOf(many, ['distortion'], box, false)
    const line = lineOf(plot, many, 'distortion')
    expect(line.length).toBeLessThanOrEqual(404)
    expect(Math.max(...line.map(({ y }) => y))).toBe(upward(plot, -7))
    expect([line[0]!.x, line.at(-1)!.x]).toEqual([40, 140])
  })
  it('bridges steps without a figure', () => {
    const found = rows([...lines, { step: 9, train: { distortion: 500, rate: 0 }, weights: { distortion: 1, rate: 4 } }])
    expect(lineOf(plotOf(found, ['loss'], box, false), found, 'loss')).toHaveLength(3)
    expect(rowNear(found, 'loss', 4)?.step).toBe(2)
    expect(rowNear(found, 'active', 9)?.step).toBe(1)
  })
})
