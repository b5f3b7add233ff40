import { describe, expect, it, vi } from 'vitest'
import { ahead, Choosing, closest, held, stopsAt } from '../src/map/layout'
import { axisNames, through } from '../src/maths/planes'
import { Snapping } from '../src/map/snapping'
import { Finder } from '../src/map/picking'
import type { ViewerCore } from '../src/core'
import type { Points } from '../src/contract'

// 0 in the middle, 1 to the right, 2 farther right and a little up, 3 above, 4 far to the left
const xy = Float32Array.of(0, 0, 1, 0, 3, 1, 0.2, 2, -9, 0)

describe('a layout', () => {
  it('has the nearest point at any distance', () => {
    expect(closest(xy, 0.4, 0.1)).toBe(0)
    expect(closest(xy, -900, 1e3)).toBe(4)
    expect(closest(new Float32Array(0), 0, 0)).toBe(-1)
  })
  it.each([[[1, 0], 0.1, 1], [[1, 0], 1.5, 2], [[0, 1], 0.1, 3], [[-1, 0], 0.1, 4], [[0, -1], 0.1, -1]] as const)('from 0 in direction %j, %d away: %d', (to, far, found) =>
    expect(ahead(xy, 0, to, far)).toBe(found))
  it('goes to no point of the same place', () => expect(ahead(Float32Array.of(1, 1, 1, 1, 2, 1), 0, [1, 0], 0.01)).toBe(2))
  it('shows the selected image while its code comes or the cursor is on it', () => {
    expect(held(7, null, [1, 2])).toBe(7)
    expect(held(7, [1, 2], [1, 2])).toBe(7)
    expect(held(7, [1, 2], [1, 2.1])).toBeNull()
    expect(held(null, null, [1, 2])).toBeNull()
  })
  it('has a place for the stops that are images', () => {
    const stop = (row: number | null) => ({ z: [0], row, name: String(row) })
    expect(stopsAt([stop(null), stop(3), stop(8)], (row) => (row === 3 ? { x: 1, y: 2 } : null))).toEqual([
      { spot: null, name: 'null' }, { spot: { x: 1, y: 2 }, name: '3' }, { spot: null, name: '8' },
    ])
  })
  it('has no axes, and no other plane through a cursor', () => {
    const plane = { u: [1, 0, 0], v: [0, 1, 0], anchor: [0, 0, 0], layout: 'umap' as const }
    expect(axisNames(plane, 'umap')).toEqual(['', ''])
    expect(through(plane, [1, 2, 3])).toBe(plane)
  })
})

describe('choosing', () => {
  it('selects the newest, one at a time, and drops what it replaces', async () => {
    const [selected, done] = [[] as number[], [] as (() => void)[]]
    const choosing = new Choosing((row) => (selected.push(row), new Promise((resolve) => done.push(resolve))))
    for (const row of [1, 2, 3, 4]) void choosing.choose(row)
    expect([selected, choosing.wanted]).toEqual([[1], 4])
    done[0]!()
    await vi.waitFor(() => expect(selected).toEqual([1, 4]))
    done[1]!()
    await vi.waitFor(() => expect(choosing.wanted).toBeNull())
    void choosing.choose(5)
    expect(selected).toEqual([1, 4, 5])
  })
  it('goes on after one that failed', async () => {
    const selected: number[] = []
    const choosing = new Choosing((row) => (selected.push(row), Promise.reject(new Error('gone'))))
    await choosing.choose(1)
    await choosing.choose(2)
    expect(selected).toEqual([1, 2])
  })
})

describe('the cursor of a layout', () => {
  const row = Uint32Array.of(10, 11, 12, 13, 14)
  const points: Points = { n: 5, xy, row, off: new Uint8Array(5), cov: new Uint16Array(15), label: new Uint16Array(5) }
  function made(selected: number | null, mu: number[] | null, nearest: number) {
    const chosen: number[] = []
    const core = {
      state: { selected, models: [{ cursor: [0, 0, 0] }] }, encoded: [mu && { mu, sigma: [] }], located: [{ rows: [nearest] }],
      select: (to: number) => (chosen.push(to), Promise.resolve()),
    }
    return { snapping: new Snapping(core as unknown as ViewerCore, 0, () => new Finder(points, 100), () => true), chosen }
  }

  it('is at what lies nearest, unless it is on the selected image', () => {
    expect(made(null, null, 13).snapping.index).toBe(3)
    expect(made(11, [0, 0, 0], 13).snapping.index).toBe(1)
    expect(made(11, [1, 0, 0], 13).snapping.index).toBe(3)
  })
  it('is at what lies nearest where the selected image is not shown', () => expect(made(99, [0, 0, 0], 13).snapping.index).toBe(3))
  it('is not asked again for the image that it is on', () => {
    const { snapping, chosen } = made(11, [0, 0, 0], 11)
    snapping.choose(1)
    snapping.choose(-1)
    expect(chosen).toEqual([])
    snapping.choose(2)
    expect(chosen).toEqual([12])
  })
  it('is asked for what it only lies near', () => {
    const { snapping, chosen } = made(null, null, 11)
    snapping.choose(1)
    expect(chosen).toEqual([11])
  })
  it('steps from image to image, quicker than they come', () => {
    const { snapping, chosen } = made(10, [0, 0, 0], 10)
    snapping.step(0.1, 0)
    expect([chosen, snapping.index]).toEqual([[11], 1])
    snapping.step(0.1, 0)
    expect(snapping.index).toBe(2)
  })
})
