import { describe, expect, it } from 'vitest'
import { pointColours } from '../src/map/colours'
import { shownOf, toggled } from '../src/map/filter'
import { NO_CLASS } from '../src/words'
import { originOf } from '../src/map/gestures'
import { closest } from '../src/map/layout'
import { ENOUGH, LONG, Pace, SLICE } from '../src/map/pace'
import { Picking } from '../src/map/picking'
import { cloudNote } from '../src/map/renderer'

describe('the legend', () => {
  const all = [0, 1, 2, NO_CLASS]
  it('hides a class and shows it again', () => {
    expect(toggled([], 1, all)).toEqual([0, 2, NO_CLASS])
    expect(toggled([0, 2, NO_CLASS], 1, all)).toEqual([])
  })
  it('never shows nothing: hiding the last class shows all', () => expect(toggled([2], 2, all)).toEqual([]))
  it('counts what is shown', () => {
    const label = Uint16Array.of(0, 1, 1, NO_CLASS, 2)
    expect([[], [1], [1, NO_CLASS], [7]].map((only) => shownOf(label, only))).toEqual([5, 2, 3, 0])
  })
  it('a hidden point has no colour', () => {
    const rgba = pointColours(Uint16Array.of(0, 1, NO_CLASS), Uint8Array.of(0, 0, 0), [[1, 2, 3], [4, 5, 6]], false, false, [1])
    expect([...rgba.subarray(0, 4), ...rgba.subarray(8)]).toEqual(Array(8).fill(0))
    expect([...rgba.subarray(4, 8)]).toEqual([4, 5, 6, 255])
  })
  it('and is not found by a hand', () => {
    const xy = Float32Array.of(0, 0, 0.1, 0, 5, 5)
    const shown = (i: number) => i !== 0
    expect([new Picking(xy).nearest(0, 0, 1), new Picking(xy).nearest(0, 0, 1, shown), closest(xy, 0, 0), closest(xy, 0, 0, shown)]).toEqual([0, 1, 0, 1])
    expect(new Picking(xy).inside([[-1, -1], [1, -1], [1, 1], [-1, 1]], shown)).toEqual([1])
  })
})

describe('clouds, some at a time', () => {
  /** Draws clouds that take so many ms each; the longest slice after the first ones, and what was drawn. */
  function drawn(n: number, each: number) {
    const pace = new Pace(n)
    const slices: number[] = []
    for (let next = pace.next; next; next = pace.next) {
      slices.push(next * each)
      pace.took(next, next * each)
    }
    return { pace, slices }
  }
  it.each([[20000, 0.12], [600, 1.2], [1e6, 0.001]])('%i of %f ms each are all drawn, no slice long', (n, each) => {
    const { pace, slices } = drawn(n, each)
    expect(pace.done).toBe(n)
    expect(pace.finished && pace.ripe).toBe(true)
    expect(Math.max(...slices.slice(1))).toBeLessThanOrEqual(Math.max(SLICE, each) + 1e-9)
  })
  it('what would take too long ends in time, with enough of a random order', () => {
    const { pace } = drawn(1e6, 0.1)
    expect(pace.spent).toBeLessThan(LONG + SLICE)
    expect(pace.done).toBeGreaterThan(ENOUGH)
    expect(pace.ripe).toBe(true)
  })
  it('where not even a few would be done, none are shown', () => {
    const { pace } = drawn(20000, 40)
    expect(pace.hopeless && pace.finished && !pace.ripe).toBe(true)
  })
  it('one slow share, on a machine that was busy for a moment, costs no cloud', () => {
    const pace = new Pace(5000)
    pace.took(pace.next, 900)
    while (pace.next) pace.took(pace.next, pace.next * 0.1)
    expect([pace.done, pace.hopeless]).toEqual([5000, false])
  })
  it('a patient one draws all at once', () => expect(new Pace(20000, true).next).toBe(20000))
  it('says nothing where what is drawn looks as all would', () => {
    const gl = (clouds: number, drawsClouds = true) => cloudNote({ kind: 'WebGL2', drawsClouds, clouds }, 20000, 400)
    expect([gl(20000), gl(Infinity), gl(1000)]).toEqual(['', '', '']) // twenty on one another
    expect(gl(300)).toContain('300 points')
    expect(gl(0, false)).toContain('density')
    expect(cloudNote({ kind: 'WebGL2', drawsClouds: true, clouds: 300 }, 300, 2)).toBe('')
  })
})

it('the map begins inside its border', () => {
  const element = { getBoundingClientRect: () => ({ left: 20, top: 30.5 }), clientLeft: 1, clientTop: 2 }
  expect(originOf(element as unknown as Element)).toEqual({ x: 21, y: 32.5 })
})
