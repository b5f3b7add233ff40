import { describe, expect, it } from 'vitest'
import type { Tile } from '../src/contract'
import { normals } from '../src/maths/draws'
import { estimatedToy, exactToy, kl, klByLogSigma, klByMu, klOf, pulled } from '../src/maths/kl'
import { chance, share, without } from '../src/tour/meaning'
import { deepest, holesOf, MOST, pairsOf, strays, throughHoles } from '../src/tour/pairs'
import { inSpread } from '../src/tour/places'
import { extentOf, placed, shown } from '../src/tour/record'
import { rms } from '../src/tour/rms'
import type { Ways } from '../src/tour/questions'
import { rolesOf } from '../src/tour/roles'
import { leftOut, stepAt, stepsFor } from '../src/tour/steps'
import { closeUp } from '../src/tour/zoom'

describe('the KL and its slopes', () => {
  it('agrees with the numbers of docs/theory.md at μ = 3, σ = 0.1', () => {
    expect(kl(3, Math.log(0.1))).toBeCloseTo(6.3076, 3)
    expect(klByMu(3)).toBe(3)
    expect(klByLogSigma(Math.log(0.1))).toBeCloseTo(-0.99, 10)
  })
  it('equals E log q − log p, integrated', () => {
    const [mu, sigma] = [0.7, 0.4]
    let sum = 0
    for (let i = 0; i < 20000; i++) {
      const e = -8 + (16 * (i + 0.5)) / 20000
      const z = mu + sigma * e
      const weight = (Math.exp(-e * e / 2) / Math.sqrt(2 * Math.PI)) * (16 / 20000)
      sum += weight * (-Math.log(sigma) - e * e / 2 + (z * z) / 2)
    }
    expect(kl(mu, Math.log(sigma))).toBeCloseTo(sum, 8)
  })
  it('has these slopes, by finite differences', () => {
    for (const [mu, log] of [[0, 0], [2, -1.5], [-1.3, 0.4], [0.1, -4]] as const) {
      const h = 1e-5
      expect(klByMu(mu)).toBeCloseTo((kl(mu + h, log) - kl(mu - h, log)) / (2 * h), 6)
      expect(klByLogSigma(log)).toBeCloseTo((kl(mu, log + h) - kl(mu, log - h)) / (2 * h), 6)
    }
  })
  it('is 0 at the prior alone, keeps its digits beside it, and adds up over dimensions', () => {
    expect(kl(0, 0)).toBe(0)
    expect(kl(0, 1e-6)).toBeCloseTo(1e-12, 15)
    expect(klOf([1, -2], [0.5, 2])).toBeCloseTo(kl(1, Math.log(0.5)) + kl(-2, Math.log(2)), 12)
  })
  it('goes down with every pull and ends at the prior', () => {
    let [mu, log] = [3, -3]
    let last = kl(mu, log)
    for (let i = 0; i < 300; i++) {
      ;[mu, log] = pulled(mu, log, 0.1)
      expect(kl(mu, log)).toBeLessThanOrEqual(last)
      last = kl(mu, log)
    }
    expect(last).toBeLessThan(1e-9)
  })
})

describe('the toy E z²', () => {
  it('has the variances of docs/theory.md: 87 against 4 at m = 2', () => {
    const exact = exactToy(2, 1)
    expect([exact.truth, exact.pathwise.variance, exact.score.variance]).toEqual([4, 4, 87])
  })
  it.each([[2, 1], [-1, 0.5], [0.3, 1.7]])('is estimated without bias by both, μ = %s, σ = %s', (mu, sigma) => {
    const n = 200_000
    const exact = exactToy(mu, sigma)
    const found = estimatedToy(mu, sigma, normals(7, n))
    for (const way of ['pathwise', 'score'] as const) {
      expect(Math.abs(found[way].mean - exact.truth)).toBeLessThan(5 * Math.sqrt(exact[way].variance / n))
      expect(found[way].variance / exact[way].variance).toBeCloseTo(1, 1)
    }
  })
})

describe('pairs and the ways between them', () => {
  const images = { rows: [9, 8, 7, 6], labels: [1, 1, 2, 3] }
  it('are of different classes, each once, in one order', () => {
    const pairs = pairsOf(images)
    expect(pairs.map((pair) => pair.join()).sort()).toEqual(['7,6', '8,6', '8,7', '9,6', '9,7'])
    expect(pairsOf(images)).toEqual(pairs)
  })
  it('are of one class where there is but one, and at most 45', () => {
    expect(pairsOf({ rows: [9, 8], labels: [-1, -1] })).toEqual([[9, 8]])
    expect(pairsOf({ rows: [9], labels: [0] })).toEqual([])
    expect(pairsOf({ rows: Array.from({ length: 24 }, (_, i) => i), labels: Array.from({ length: 24 }, (_, i) => i) })).toHaveLength(MOST)
  })
  const ways: Ways = { threshold: 1, errors: [[0.5, 3, 0.2], [2, 0.5, 0.5], [0.1, 1.5, null]], inside: [[true, true, true], [true, false, true], [true, false, true]] }
  it('a hole is where nothing comes back and no data lies', () => {
    expect(holesOf(ways, 0)).toEqual([false, false, false])
    expect(holesOf(ways, 2)).toEqual([false, true, false])
    expect([strays(null, 9), strays(1, 1), strays(1.01, 1)]).toEqual([true, false, true])
  })
  it('the deepest hole is found, and that there is none', () => {
    expect(deepest(ways)).toEqual({ way: 2, cell: 1, error: 1.5 })
    expect(deepest({ ...ways, inside: ways.inside.map((way) => way.map(() => false)) })).toEqual({ way: 2, cell: 2, error: null })
    expect(deepest({ ...ways, threshold: 5, inside: ways.inside.map((way) => way.map(() => true)) })).toBeNull()
    expect(throughHoles(ways)).toBe(1)
  })
})

describe('neighbours', () => {
  it('leave out the image itself, wherever it is found', () => {
    expect(without([4, 7, 5], [0, 1, 2], 4, 2)).toEqual([{ row: 7, label: 1 }, { row: 5, label: 2 }])
    expect(without([7, 5, 4], [1, 2, 0], 4, 2)).toHaveLength(2)
  })
  it('are of one class by chance as often as Σ p² says', () => {
    expect(chance([0, 0, 1, 1])).toBe(0.5)
    expect(share([{ row: 1, label: 2 }, { row: 2, label: 3 }], 3)).toBe(0.5)
  })
})

describe('a close look', () => {
  it('centres the cloud and shows nine of its widths', () => {
    const size = { width: 400, height: 300 }
    const camera = closeUp({ a: 2, b: -1 }, 0.1, size)
    expect([camera.a, camera.b]).toEqual([2, -1])
    expect(camera.scale * 0.9).toBeCloseTo(0.9 * 300, 6)
  })
})

describe('who plays which part', () => {
  const model = (has_density: boolean, prior_was_trained: boolean, ready = true) => ({ has_density, prior_was_trained, ready })
  it('tells a point, a cloud with the KL and one without; not one that is not ready', () => {
    expect(rolesOf([model(true, true), model(false, false)])).toEqual({ autoencoder: 1, vae: 0, noisy: null })
    expect(rolesOf([model(true, false), model(true, true, false)])).toEqual({ autoencoder: null, vae: null, noisy: 0 })
  })
  it.each([
    [[model(false, false), model(true, true)], [1, 2, 3, 4, 5, 6, 7, 8], ''],
    [[model(true, true)], [2, 3, 4, 5, 6, 7, 8], 'no autoencoder beside this VAE'],
    [[model(false, false)], [1, 3, 4, 5, 6, 7, 8], 'no VAE beside this autoencoder'],
    [[model(true, true, false)], [3, 4, 8], 'ready yet'],
    [[model(true, false)], [2, 3, 4, 5, 6, 7, 8], 'noise without the KL term'],
    [[model(true, false), model(true, true)], [2, 3, 4, 5, 6, 7, 8], 'no autoencoder in this session'],
  ])('of a session %o the steps are %o', (models, numbers, said) => {
    const roles = rolesOf(models)
    expect(stepsFor(roles).map((step) => step.number)).toEqual(numbers)
    expect(leftOut(roles)).toContain(said)
    expect(leftOut(roles) === '').toBe(said === '')
  })
  it('a link to a step that is left out leads to the next', () => {
    const steps = stepsFor(rolesOf([model(true, true)]))
    expect(stepAt(steps, 1).number).toBe(2)
    expect(stepAt(steps, 99).number).toBe(8)
  })
})

describe('what the steps show', () => {
  const tile = (...rgba: number[]): Tile => ({ width: rgba.length / 4, height: 1, rgba: Uint8ClampedArray.from(rgba), values: null, failed: null })
  it('measures pixels without their transparency, in 0 … 1', () => {
    expect(rms(tile(255, 255, 255, 255), tile(0, 0, 0, 0))).toBe(1)
    expect(rms(tile(0, 0, 0, 1, 51, 0, 0, 1), tile(0, 0, 0, 1, 0, 0, 0, 1))).toBeCloseTo(0.2 / Math.sqrt(6), 12)
  })
  it('carries a width over in units of spread', () => {
    const shifted = inSpread([0.1, 0.2], [1, 2], [30, 10])
    expect(shifted[0]).toBeCloseTo(3, 12)
    expect(shifted[1]).toBeCloseTo(1, 12)
  })
  it('places values on a logarithmic axis that holds every interval', () => {
    const all = [{ value: 10, low: 8, high: 12 }, { value: 100, low: null, high: null }].map((one) => ({ n: 1, unit: '', method: '', ...one }))
    const [low, high] = extentOf(all)
    expect(low).toBeLessThan(8)
    expect(high).toBeGreaterThan(100)
    expect(placed(10, 1, 100, 0, 50)).toBeCloseTo(25, 12)
    expect(all.map((one) => shown(one))).toEqual(['10.0 [8.0, 12.0]', '100.0'])
  })
})
