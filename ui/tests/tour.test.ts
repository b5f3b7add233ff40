import { describe, expect, it } from 'vitest'
import type { Backend, Tile } from '../src/contract'
import { normals } from '../src/panels/draws'
import { estimatedToy, exactToy, kl, klByLogSigma, klByMu, klOf, pulled } from '../src/tour/kl'
import { alongLine, judged, lineBetween } from '../src/tour/line'
import { inSpread } from '../src/tour/places'
import { extentOf, placed, shown } from '../src/tour/record'
import { rms } from '../src/tour/rms'
import { pairOf, rolesOf } from '../src/tour/roles'

const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)

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

describe('a line as a plane', () => {
  it.each([[[0, 0], [3, 4]], [[1, -1], [1, 5]], [[0, 1, 2, 3], [3, 1, 0, -2]]])('from %s to %s: orthonormal, its one row of cells on the line', (a, b) => {
    const { plane, extent } = lineBetween(a, b, 10)!
    expect([dot(plane.u, plane.u), dot(plane.v, plane.v), dot(plane.u, plane.v)].map((value) => value.toFixed(9).replace('-0.0', '0.0'))).toEqual(['1.000000000', '1.000000000', '0.000000000'])
    const [width, height] = [extent.a1 - extent.a0, extent.b1 - extent.b0]
    expect(Math.max(1, Math.round((10 * height) / width))).toBe(1)
    const at = (s: number) => plane.anchor.map((value, i) => value + (s - dot(plane.anchor, plane.u)) * plane.u[i]!)
    at(extent.a1).forEach((value, i) => expect(value).toBeCloseTo(b[i]!, 9))
  })
  it('is none between a place and itself', () => expect(lineBetween([1, 2], [1, 2], 5)).toBeNull())
  it('counts what lies above the threshold, a failed place too', () => {
    expect(judged({ values: Float32Array.of(0.5, 2, NaN, 1), threshold: 1 })).toMatchObject({ holes: 0.5, worst: 2 })
  })
  it('asks for one row of the holes field', async () => {
    const asked: unknown[] = []
    const backend = { field: async (...all: unknown[]) => (asked.push(all), { values: Float32Array.of(1, 3), threshold: 2 }) } as unknown as Backend
    expect(await alongLine(backend, 0, 7, [0, 0], [2, 0], 2)).toMatchObject({ holes: 0.5 })
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject([0, 7, 'holes', { u: [1, 0] }, { a0: 0, a1: 2, b0: -0.5, b1: 0.5 }, 2])
  })
})

describe('who plays which part', () => {
  const model = (has_density: boolean, prior_was_trained: boolean, ready = true) => ({ has_density, prior_was_trained, ready })
  it('tells a point, a cloud with the KL and one without; not one that is not ready', () => {
    expect(rolesOf([model(true, true), model(false, false)])).toEqual({ autoencoder: 1, vae: 0, noisy: null })
    expect(rolesOf([model(true, false), model(true, true, false)])).toEqual({ autoencoder: null, vae: null, noisy: 0 })
  })
  it('pairs two images of different classes', () => {
    const points = { n: 4, row: Uint32Array.of(9, 8, 7, 6), label: Uint16Array.of(1, 1, 2, 2) }
    expect(pairOf(points)).toEqual({ rows: [9, 7], places: [0, 2] })
    expect(pairOf({ ...points, label: Uint16Array.of(1, 1, 1, 1) })!.rows).toEqual([9, 8])
    expect(pairOf({ n: 1, row: Uint32Array.of(0), label: Uint16Array.of(0) })).toBeNull()
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
