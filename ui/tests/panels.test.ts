import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Backend, Curves, Tile } from '../src/contract'
import { develop, FRAMES, letter, moved, type Film } from '../src/panels/film'
import { apart, lanes, network } from '../src/panels/flow'
import { Following } from '../src/panels/following'
import { nextFrame } from '../src/panels/player'
import { step, target } from '../src/panels/roving'
import { after, play, stations } from '../src/panels/snapshots'

describe('stops', () => {
  it('are lettered past Z', () => expect([0, 1, 25, 26, 52].map(letter)).toEqual(['A', 'B', 'Z', 'A2', 'A3']))
  it('move within their list', () => {
    expect(moved(['a', 'b', 'c'], 0, 1)).toEqual(['b', 'a', 'c'])
    expect(moved(['a', 'b', 'c'], 2, -1)).toEqual(['a', 'c', 'b'])
    expect(moved(['a', 'b', 'c'], 0, -1)).toEqual(['a', 'b', 'c'])
    expect(moved(['a', 'b', 'c'], 1, 9)).toEqual(['a', 'c', 'b'])
  })
})

describe('one frame at a press, for who asked for less motion', () => {
  it('goes through every frame and round', () => {
    const seen = [0]
    for (let i = 0; i < 4; i++) seen.push(nextFrame(seen.at(-1)!, 5))
    expect(seen).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(nextFrame(1, 5)).toBe(0)
    expect(nextFrame(0.3, 5)).toBe(0.5)
  })
})

describe('arrows in a grid and in a list', () => {
  it('stay within it', () => {
    expect(['ArrowRight', 'ArrowDown', 'Home', 'End'].map((key) => target(key, 5, 16, 4))).toEqual([6, 9, 0, 15])
    expect([target('ArrowUp', 1, 16, 4), target('ArrowRight', 15, 16, 4), target('a', 1, 16, 4)]).toEqual([1, 15, null])
    expect([step('ArrowDown', 2, 3), step('PageUp', 5, 9), step('Home', 2, 3), step('ArrowDown', 0, 0)]).toEqual([2, 0, null, null])
  })
})

const tile = (value: number): Tile => ({ width: 1, height: 1, rgba: null, values: new Float32Array([value]), failed: null })
const land = (support: number) => ({ rows: [], distances: [], labels: [], ids: [], support, inside: support > 0, unit: 'nats' })

describe('a film', () => {
  const backend = {
    decode: async (_m: number, _s: number | null, z: Float32Array[]) => z.map((code) => tile(code[0]! ** 2)),
    locate: async (_m: number, _s: number | null, z: Float32Array) => land(z[0]! - 5),
  } as unknown as Backend
  it('has equal steps of t, the length of each step, and the ground of each frame', async () => {
    const told: Film[] = []
    await develop(backend, 0, null, [[0], [11]], false, () => true, (film) => told.push(film))
    const film = told.at(-1)!
    expect(film.codes.map(([value]) => Math.round(value!))).toEqual(Array.from({ length: FRAMES }, (_, i) => i))
    film.steps.forEach((length, i) => expect(length).toBeCloseTo(2 * i + 1, 4))
    expect(film.ground.map((ground) => ground!.inside)).toEqual([...Array(6).fill(false), ...Array(6).fill(true)])
    expect(told[0]!.ground).toEqual(Array(FRAMES).fill(null))
  })
  it('stops where it is superseded', async () => {
    const told: Film[] = []
    await develop(backend, 0, null, [[0], [11]], false, () => told.length < 3, (film) => told.push(film))
    expect(told.length).toBe(3)
  })
})

describe('curves of a run', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())
  const answer = (from: number, next: number, state: Curves['state']): Curves =>
    ({ lines: Array.from({ length: next - from }, (_, i) => ({ step: from + i })), next, snapshots: [], total: 9, state })

  it('are read on from where they were while it trains, and no longer', async () => {
    const answers = [answer(0, 2, 'training'), answer(2, 3, 'training'), answer(3, 5, 'finished')]
    const asked: number[] = []
    let lines: unknown[] = []
    const following = new Following({ curves: async (_m, after) => (asked.push(after), answers[asked.length - 1]!) }, 0, (_, all) => (lines = all), String, () => true)
    void following.read()
    await vi.advanceTimersByTimeAsync(30_000)
    expect(asked).toEqual([0, 2, 3])
    expect(lines).toEqual([0, 1, 2, 3, 4].map((step) => ({ step })))
  })
  it('rest while nobody looks, and begin anew where a run was cut back', async () => {
    let [visible, calls] = [false, 0]
    const curves = async (_m: number, after: number) => (calls++, after === 0 ? answer(0, calls > 2 ? 3 : 5, 'training') : answer(3, 3, 'training'))
    let lines: unknown[] = []
    const following = new Following({ curves }, 0, (_, all) => (lines = all), String, () => visible)
    void following.read()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(calls).toBe(0)
    visible = true
    await vi.advanceTimersByTimeAsync(2_000)
    expect(lines.length).toBe(5)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(lines.length).toBe(3)
    following.stop()
    const before = calls
    await vi.advanceTimersByTimeAsync(10_000)
    expect(calls).toBe(before)
  })
})

describe('snapshots, played', () => {
  const all = stations([10, 40, 90], true)
  it('go on to the finished model, and not beyond', () => {
    expect(all).toEqual([10, 40, 90, null])
    expect([10, 40, 90, null].map((step) => after(all, step))).toEqual([40, 90, null, undefined])
    expect(stations([10], false)).toEqual([10])
  })
  it('a step that was not kept counts as the next that was', () => expect(after(all, 30)).toBe(90))
  it('are shown from where one is, from the start where that is the end', async () => {
    const played = async (from: number | null) => {
      const shown: (number | null)[] = []
      expect(await play(all, from, async (step) => void shown.push(step), async () => {}, new AbortController().signal)).toBe(true)
      return shown
    }
    expect(await played(40)).toEqual([90, null])
    expect(await played(null)).toEqual([10, 40, 90, null])
  })
  it('stop where nobody waits any more', async () => {
    const left = new AbortController()
    const shown: (number | null)[] = []
    const show = async (step: number | null) => {
      shown.push(step)
      if (step === 40) left.abort()
    }
    expect(await play(all, null, show, async () => {}, left.signal)).toBe(false)
    expect(shown).toEqual([10, 40])
  })
})

describe('a code as a picture', () => {
  const info = { mean: [0, 1, 0], std: [2, 1, 0.1], noise: [0, 0, 1], has_density: true, prior_was_trained: true }
  const code = { mu: [1, 2, 0], sigma: [0.5, 0.1, 1] }
  it('tells ε from z and costs what docs/theory.md says', () => {
    const [first, second] = lanes(info, code, [2, 2, 5], 2)
    expect([first!.index, second!.index]).toEqual([0, 1])
    expect([first!.noise, second!.noise]).toEqual([2, 0])
    expect([first!.low, first!.high]).toEqual([-6, 6])
    expect(first!.kl).toBeCloseTo(0.5 * (1 + 0.25 - 1 - Math.log(0.25)), 12)
  })
  it('has no ε without an image, no σ of a point, no price without a KL', () => {
    expect(lanes(info, null, [2, 2, 5], 9)[0]).toMatchObject({ mu: null, sigma: null, noise: null, kl: null, z: 2 })
    expect(lanes({ ...info, has_density: false }, code, [2, 2, 5], 9)[0]).toMatchObject({ mu: 1, sigma: null, noise: null, kl: null })
    expect(lanes({ ...info, prior_was_trained: false }, code, [2, 2, 5], 9)[0]).toMatchObject({ noise: 2, kl: null })
    expect(lanes({ ...info, standard_prior: false }, code, [2, 2, 5], 9)[0]).toMatchObject({ noise: 2, kl: null })
  })
  it('lies so many widths from the image’s own', () => expect(apart(code, [1.5, 2.1, 1], code.sigma)).toBeCloseTo(1, 12))
  it('names the network', () => {
    expect(network({ net: 'mlp', width: 512, depth: 2, beta: 1 })).toBe('mlp, 512 × 2')
    expect(network({})).toBe('')
  })
})
