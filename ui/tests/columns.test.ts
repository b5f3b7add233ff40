import { describe, expect, it } from 'vitest'
import { apart, standardised, titled, told } from '../src/columns'
import type { Brought, Finding, Tile } from '../src/contract'
import { likenessOf, usual, verdictOf } from '../src/likeness'
import { Names } from '../src/names'
import { ends } from '../src/panels/paint'
import { difference, rms } from '../src/panels/pixels'
import { labelOf, nameOf, sheetsOf, shownModels } from '../src/panels/sheets'
import { peakOf } from '../src/parts/tile'

const columns = [{ name: 'mass', unit: 'g', mean: 4000, std: 500 }, { name: 'ratio', unit: '', mean: 0.5, std: 0.01 }]
const row = (...values: number[]): Tile => ({ width: values.length, height: 1, rgba: null, values: Float32Array.from(values), failed: null })

describe('columns of a table', () => {
  it('are compared in standard deviations, whatever their units', () => {
    const [a, b] = [standardised(row(4500, 0.5), columns), standardised(row(4000, 0.49), columns)]
    expect([...a.standard!].map((value) => Math.round(value * 1e4) / 1e4)).toEqual([1, 0])
    expect(b.standard![1]).toBeCloseTo(-1, 4)
    expect(rms(a, b)).toBeCloseTo(1, 4) // √((1² + 1²)/2), where own units would give 354
    expect(difference(a, b)!.peak).toBeCloseTo(1, 4)
    expect([peakOf(a), ends([a, b])]).toEqual([3, [-3, 3]])
  })
  it('leave pictures, and rows whose columns are not known, as they are', () => {
    const picture: Tile = { width: 1, height: 1, rgba: new Uint8ClampedArray(4), values: null, failed: null }
    expect(standardised(picture, columns)).toBe(picture)
    expect(standardised(row(1, 2, 3), columns).standard).toBeUndefined()
    expect(standardised(row(1, 2), null).standard).toBeUndefined()
    expect(peakOf(row(1, -7))).toBe(7)
  })
  it('are told with the digits that their spread needs', () => {
    expect(told(4108.37, columns[0]!)).toBe('4108')
    expect(told(-0.50349, columns[1]!)).toBe('−0.503')
    expect(told(1.5e-12, { std: 1e-12 })).toBe('1.500e-12')
    expect(told(NaN, columns[0]!)).toBe('–')
    expect([titled(columns[0]!), titled(columns[1]!)]).toEqual(['mass (g)', 'ratio'])
    expect([apart(-1.26), apart(0.01)]).toEqual(['1.3 σ below the mean', 'at the mean'])
  })
})

describe('a picture that a person brings', () => {
  const finding = (part: Partial<Finding>): Finding => ({ name: 'error', value: 1, low: null, high: 2, share: 0.5, odd: false, ...part })
  const brought = (picture: Finding[], ...models: Finding[][]): Brought =>
    ({ image: '', held: 300, findings: picture, models: models.map((findings) => ({ mu: [], sigma: [], findings })) })
  it('is judged by its worst finding', () => {
    expect([likenessOf(finding({})), likenessOf(finding({ share: 0 })), likenessOf(finding({ share: 0, odd: true }))]).toEqual(['alike', 'rare', 'unlike'])
    expect(verdictOf(brought([finding({})], [finding({})])).likeness).toBe('alike')
    expect(verdictOf(brought([finding({ share: 0 })], [finding({})])).likeness).toBe('rare')
    expect(verdictOf(brought([finding({})], [finding({})], [finding({ odd: true })])).words).toBe('not like the data')
    expect(verdictOf(brought([finding({})], [finding({})], [finding({ odd: true })]), 0).likeness).toBe('alike')
  })
  it('is told beside what is usual', () => {
    expect([usual(finding({})), usual(finding({ low: -7.3, high: null })), usual(finding({ low: 0.05, high: 0.3 }))]).toEqual(['≤ 2.00', '≥ −7.30', '0.05 … 0.30'])
  })
})

describe('names', () => {
  it('are asked for once, many at a time', async () => {
    const asked: number[][] = []
    const names = new Names({ rows: (rows) => (asked.push(rows), Promise.resolve({ rows, ids: rows.map((row) => `cats/${row}.png`), labels: [], values: null })) })
    names.learn([3], ['dogs/3.png'])
    expect([names.known(3), names.known(4)]).toEqual(['dogs/3.png', '4'])
    expect(await names.of([3, 4])).toEqual(['dogs/3.png', 'cats/4.png'])
    expect(await names.of([4])).toEqual(['cats/4.png'])
    await names.of(Array.from({ length: 250 }, (_, i) => 100 + i))
    expect(asked.map(({ length }) => length)).toEqual([1, 200, 50])
  })
})

describe('sheets of samples', () => {
  const model = (title: string, prior_was_trained: boolean, latent_dim = 2) =>
    ({ title, recipe: '', sentence: '', words: {}, latent_dim, has_density: true, prior_was_trained, snapshots: [], total: 1, state: 'finished' as const, ready: true,
      mean: Array<number>(latent_dim).fill(5), std: Array<number>(latent_dim).fill(2), noise: [] })
  const models = [model('vae', true), model('ae', false)]
  it('show both models where they are compared, of the same draws', () => {
    expect(shownModels({ compare: true, morph: null, active: 1 }, models)).toEqual([0, 1])
    expect(shownModels({ compare: false, morph: null, active: 1 }, models)).toEqual([1])
    expect(shownModels({ compare: true, morph: null, active: 0 }, models.slice(0, 1))).toEqual([0])
    const [vae, ae, ...codes] = sheetsOf(models, [0, 1], true, { seed: 3, temperature: 1 })
    expect([vae!.key, ae!.key, ...codes.map(({ key }) => key)]).toEqual(['0 prior', '1 prior', '0 codes', '1 codes'])
    expect(ae!.codes).toEqual(vae!.codes)
    expect(codes[1]!.codes[0]![0]).toBeCloseTo(5 + 2 * ae!.codes[0]![0]!, 5)
    expect(sheetsOf(models, [1], false, { seed: 3, temperature: 1 })).toHaveLength(1)
  })
  it('have one for each prior that was fitted, of the finished model alone', () => {
    const fitted = [{ ...models[0]!, priors: [{ name: 'm', kind: 'mixture' }, { name: 'f', kind: 'flow-matching' }] }]
    const sheets = sheetsOf(fitted, [0], false, { seed: 3, temperature: 1 }, [null])
    expect(sheets.map(({ key, asks }) => [key, asks])).toEqual([['0 prior', false], ['0 fitted m', true], ['0 fitted f', true]])
    expect([nameOf(sheets[1]!, 1), labelOf(sheets[1]!)]).toEqual(['from m, fitted to the codes', 'sample from m'])
    expect(sheetsOf(fitted, [0], false, { seed: 3, temperature: 1 }, [20])).toHaveLength(1)
  })
})
