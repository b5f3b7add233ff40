import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ModelIndex, Points } from '../src/contract'
import { Follow, precisionOf } from '../src/follow'

const half: Record<number, number> = { 0: 0, 1: 0x3c00, 4: 0x4400 }
const pointsOf = (xy: number[], cov = [0, 0, 0]): Points => {
  const n = xy.length / 2
  return {
    n, xy: Float32Array.from(xy), row: Uint32Array.from({ length: n }, (_, i) => 10 + i), off: new Uint8Array(n),
    cov: Uint16Array.from({ length: 3 * n }, (_, i) => half[cov[i % 3]!]!), label: new Uint16Array(n),
  }
}
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())
const plane = { u: [1, 0], v: [0, 1], anchor: [0, 0] }

/** Two models of some latents: three images, whose codes the second has upside down. */
function session(latents: number, state: object = {}) {
  const put: [ModelIndex, number[]][] = []
  const asked: number[] = []
  let answer: (() => void) | undefined
  const core = {
    session: { models: [{ latent_dim: latents }, { latent_dim: latents }] },
    state: { compare: true, link: 'image', morph: null, models: [{ step: null }, { step: 7 }], ...state },
    points: [pointsOf([0, 0, 10, 0, 0, 1]), pointsOf([0, 0, -10, 0, 0, -1])], planes: [plane, plane],
    backend: { code: (row: number) => new Promise((resolve) => {
      asked.push(row)
      answer = () => resolve({ models: [{ mu: [row, 0, 0], sigma: [] }, { mu: [row, 1, 1], sigma: [] }], label: 0, id: '' })
    }) },
  }
  const follow = new Follow(core as never, (m, z) => put.push([m, z]), (error) => { throw error })
  return { follow, put, asked, answered: async () => (answer?.(), await vi.advanceTimersByTimeAsync(0)) }
}

describe("the other map's picture", () => {
  it('is of the nearest image, by distances in the spread of the codes', () => {
    const { follow, put } = session(2)
    follow.lead(0, [4, 0.9]) // nearer to the third by plain distance and to the third by the codes' own
    vi.advanceTimersByTime(100)
    follow.lead(0, [6, 0.4])
    vi.advanceTimersByTime(100)
    expect(put).toEqual([[1, [0, -1]], [1, [-10, 0]]])
    expect(follow.followed).toEqual({ row: 11, leader: 0 })
  })
  it('is put once while the same image is nearest', () => {
    const { follow, put } = session(2)
    for (const a of [9, 9.5, 10]) {
      follow.lead(0, [a, 0])
      vi.advanceTimersByTime(100)
    }
    expect(put.length).toBe(1)
  })
  it.each([{ link: 'z' }, { compare: false }, { morph: 0.5 }])('stays where %o', (state) => {
    const { follow, put } = session(2, state)
    follow.lead(0, [6, 0.4])
    expect([put, follow.followed]).toEqual([[], null])
  })
  it('is asked for where a map shows but a part of its space, the newest last', async () => {
    const { follow, put, asked, answered } = session(3)
    follow.lead(0, [1, 2, 3])
    for (const row of [5, 6, 7]) follow.located(0, row)
    follow.located(1, 9) // the follower's own neighbour leads nothing
    await answered()
    await answered()
    expect(asked).toEqual([5, 7])
    expect(put).toEqual([[1, [7, 1, 1]]])
  })
  it('stays where it was put meanwhile', async () => {
    const { follow, put, answered } = session(3)
    follow.lead(0, [1, 2, 3])
    follow.located(0, 5)
    follow.stop()
    await answered()
    follow.located(0, 6)
    expect(put).toEqual([])
  })
})

it('distances are those of (Cov μ + E Σ)⁻¹', () => {
  const [aa, ab, bb] = precisionOf(pointsOf([-1, -1, 1, 1, -1, 1, 1, -1], [4, 1, 4]))
  expect([aa, ab, bb]).toEqual([5 / 24, -1 / 24, 5 / 24])
})
