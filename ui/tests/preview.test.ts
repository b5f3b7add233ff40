import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Code, Tile } from '../src/contract'
import { isSlow, Preview } from '../src/preview'

const plane = { u: [1, 0, 0], v: [0, 1, 0], anchor: [0, 0, 7] }
const wanted = { step: null, plane, extent: { a0: -8, a1: 8, b0: -8, b1: 8 } }
const tileOf = (z: Code): Tile => ({ width: 1, height: 1, rgba: null, values: Float32Array.from(z), failed: null })
const rest = (milliseconds = 600) => vi.advanceTimersByTimeAsync(milliseconds)
let asked: Code[][]
let preview: Preview
let held: Promise<void> | null

beforeEach(() => {
  vi.useFakeTimers()
  asked = []
  held = null
  preview = new Preview({
    decode: async (_m, _s, codes) => {
      asked.push(codes)
      if (held) await held
      return codes.map(tileOf)
    },
  })
})
afterEach(() => void vi.useRealTimers())

describe('what stands in for a slow answer', () => {
  it('is believed to be needed after enough answers only', () => {
    expect(isSlow({ p95: 300, shown: 5 })).toBe(false)
    expect(isSlow({ p95: 300, shown: 50 })).toBe(true)
    expect(isSlow({ p95: 30, shown: 50 })).toBe(false)
  })

  it('is the nearest tile of the plane, within half the diagonal of a cell', async () => {
    expect(preview.near(0, wanted, [1, 2, 7])).toBeNull()
    preview.rest(0, wanted)
    await rest()
    for (const z of [[0.3, -5.2, 7], [7.9, 7.9, 7], [-3, 3, 7]]) {
      const [a, b, off] = preview.near(0, wanted, z)!.values!
      expect(Math.hypot(a! - z[0]!, b! - z[1]!)).toBeLessThanOrEqual(Math.SQRT1_2 + 1e-6)
      expect(off).toBe(7)
    }
  })

  it('is asked a few at a time, all of the coarse ones first, and each once', async () => {
    preview.rest(0, wanted)
    await rest()
    const all = asked.flat().map((z) => [...z].join())
    expect(Math.max(...asked.map((codes) => codes.length))).toBe(4)
    expect(all.length).toBe(16 + 64 + 256)
    expect(new Set(all).size).toBe(all.length)
    expect(asked.slice(0, 4).flat().every((z) => Math.abs(z[0]!) % 4 === 2 && Math.abs(z[1]!) % 4 === 2)).toBe(true)
  })

  it('is not asked while the hand moves, and goes on where it was', async () => {
    let free = () => {}
    held = new Promise((resolve) => (free = resolve))
    preview.rest(0, wanted)
    await rest()
    preview.stop()
    free()
    await rest()
    expect(asked.length).toBe(1)
    preview.rest(0, wanted)
    await rest()
    expect(new Set(asked.flat().map((z) => [...z].join())).size).toBe(336)
    expect(asked.flat().length).toBe(336)
  })

  it('is of its plane, step and model alone', async () => {
    preview.rest(0, wanted)
    await rest()
    expect(preview.near(1, wanted, [0, 0, 7])).toBeNull()
    expect(preview.near(0, { ...wanted, step: 10 }, [0, 0, 7])).toBeNull()
    expect(preview.near(0, { step: null, plane: { ...plane, anchor: [0, 0, 6] } }, [0, 0, 6])).toBeNull()
  })
})
