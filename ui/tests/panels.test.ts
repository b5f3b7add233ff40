import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Backend, Curves, Tile } from '../src/contract'
import { develop, FRAMES, letter, moved, type Film } from '../src/panels/film'
import { Following } from '../src/panels/following'
import { nextFrame } from '../src/panels/player'
import { step, target } from '../src/panels/roving'

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
