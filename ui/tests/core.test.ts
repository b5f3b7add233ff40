import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Backend, Code, ModelIndex, Plane, Points, Session } from '../src/contract'
import { ViewerCore } from '../src/core'
import { failed } from '../src/frames'

const model = (title: string, latent_dim = 2) => ({
  title, recipe: 'vae', sentence: '', words: {}, latent_dim, has_density: true, prior_was_trained: title !== 'ae', snapshots: [10, 20], total: 30,
  state: 'finished' as const, ready: true, mean: Array<number>(latent_dim).fill(5), std: [], noise: [],
})

const located = { rows: [812], distances: [0.4], labels: [3], ids: ['812'], support: 1, inside: true, unit: 'σ' }

/** Answers at once, from closed forms: image r has the code (r, model); its label is r mod 10. */
class Synthetic {
  live = true
  moved: [ModelIndex, number | null, number[]][] = []
  asked: [number | null, Plane][] = []
  hold: Promise<void> | null = null
  decode: Backend['decode'] = () => Promise.resolve([])
  onCursor: Backend['onCursor'] = () => {}
  onConnection: Backend['onConnection'] = () => {}
  onVisit: Backend['onVisit']
  constructor(readonly told: Session) {}
  session = () => Promise.resolve(this.told)
  plane = (m: ModelIndex): Promise<Plane> => {
    const d = this.told.models[m]!.latent_dim
    const unit = (k: number) => Array.from({ length: d }, (_, i) => Number(i === k))
    return Promise.resolve({ u: unit(0), v: unit(1), anchor: Array<number>(d).fill(0) })
  }
  points = async (_m: ModelIndex, step: number | null, plane: Plane): Promise<Points> => {
    this.asked.push([step, plane])
    const wait = this.hold
    if (wait) await wait
    return { n: step ?? 1, xy: new Float32Array(0), row: new Uint32Array(0), off: new Uint8Array(0), cov: new Uint16Array(0), label: new Uint16Array(0) }
  }
  cursor = (m: ModelIndex, step: number | null, z: Code) => void this.moved.push([m, step, [...z]])
  locate = () => Promise.resolve(located)
  code = (row: number) => Promise.resolve({ models: this.told.models.map((_, m) => ({ mu: [row, m], sigma: [1, 1] })), label: row % 10, id: String(row) })
}

const visitOf = (...models: ReturnType<typeof model>[]): Session => ({
  version: 1, legato: '', data: { source: 'toy', rows: 100, shown: 100, sampled: false, shape: [1, 2, 2], image: true, labels: null },
  models, limits: { upload_bytes: 1, decode: 256 },
})
let backend: Synthetic
let core: ViewerCore
const cursors = () => core.state.models.map((of) => of.cursor)
const settle = () => vi.advanceTimersByTimeAsync(2000)

async function open(...models: ReturnType<typeof model>[]): Promise<void> {
  backend = new Synthetic(visitOf(...models))
  core = await ViewerCore.open(backend as unknown as Backend, { address: false })
  await settle()
}
beforeEach(() => {
  vi.useFakeTimers()
  return open(model('vae'), model('ae'))
})
afterEach(() => void vi.useRealTimers())

describe('the core', () => {
  it('tells that a person\'s picture is gone, though nothing was selected', async () => {
    core.foreign = { image: '', models: [], findings: [], held: 0 }
    const heard = vi.fn()
    core.on('state', heard)
    await core.select(null)
    await settle()
    expect(core.foreign).toBeNull()
    expect(heard).toHaveBeenCalled()
  })
  it('tells what happened though the cursor moves on within the second', async () => {
    const told: string[] = []
    core.onSay = (text) => told.push(text)
    core.say('first')
    core.say('tour, step 2')
    await core.select(7)
    core.moveTo(0, [1, 2], true)
    await settle()
    expect(told[0]).toBe('first')
    expect(told[1]).toContain('tour, step 2. image 7 selected')
    backend.onCursor(0, Float32Array.of(1, 2), failed(''), 1)
    await settle()
    expect(told.at(-1)).toContain('z0 1.00, z1 2.00')
  })

  it("starts at the prior's mean, or where the codes are", () => expect(cursors()).toEqual([[0, 0], [5, 5]]))

  it('one selection moves every cursor to its own code', async () => {
    await core.select(7)
    expect(cursors()).toEqual([[7, 0], [7, 1]])
    expect(core.encoded[1]).toEqual({ mu: [7, 1], sigma: [1, 1] })
  })

  it('"same z" moves both, "same image" one', () => {
    core.moveTo(0, [1, 2], true)
    expect(cursors()).toEqual([[1, 2], [5, 5]])
    core.change({ link: 'z' })
    core.moveTo(1, [3, 4], true)
    expect(cursors()).toEqual([[3, 4], [3, 4]])
  })

  it('"same z" leaves a model of another length alone', async () => {
    await open(model('vae'), model('ae', 3))
    core.change({ link: 'z' })
    core.moveTo(0, [3, 4], true)
    expect(cursors()[1]).toEqual([5, 5, 5])
  })

  it('undo takes back a whole drag, then what was before it', async () => {
    core.change({ background: 'holes' })
    await settle()
    for (const x of [1, 2, 3]) core.moveTo(0, [x, x])
    core.moveTo(0, [4, 4], true)
    core.undo()
    expect([cursors()[0], core.state.background]).toEqual([[0, 0], 'holes'])
    expect(backend.moved.at(-1)).toEqual([0, null, [0, 0]])
    core.undo()
    expect(core.state.background).toBe('none')
    core.undo()
    expect(core.state.background).toBe('none')
  })

  it('a drag rings at most ten times a second, its end included; the cursor rings every time', async () => {
    let [states, moves, seen] = [0, 0, 0]
    core.on('state', () => [states++, (seen = core.state.models[0]!.cursor[0]!)])
    core.on('cursor', () => moves++)
    for (let i = 1; i <= 100; i++) {
      core.moveTo(0, [i, 0])
      await vi.advanceTimersByTimeAsync(10)
    }
    await settle()
    expect(moves).toBe(100)
    expect(states).toBeLessThanOrEqual(11)
    expect(seen).toBe(100)
  })

  it('points of a step that was left behind never show', async () => {
    let go = () => {}
    backend.hold = new Promise((resolve) => (go = resolve))
    core.setStep(0, 10)
    await settle()
    backend.hold = null
    core.setStep(0, 20)
    await settle()
    go()
    await settle()
    expect(core.points[0]!.n).toBe(20)
    expect(backend.moved.at(-1)).toEqual([0, 20, [0, 0]])
  })

  it('asks points for the plane through the cursor', async () => {
    await open(model('vae', 3))
    core.moveTo(0, [1, 2, 3], true)
    await core.measureOffPlane(0)
    expect(backend.asked.at(-1)![1].anchor).toEqual([0, 0, 3])
  })

  it('asks what lies near what is drawn, at most five times a second and never before', async () => {
    const asked: number[][] = []
    backend.locate = (async (_m: ModelIndex, _step: number | null, z: Code) => (asked.push([...z]), located)) as unknown as Synthetic['locate']
    for (let i = 1; i <= 100; i++) {
      core.moveTo(0, [i, 0])
      await vi.advanceTimersByTimeAsync(10)
    }
    await settle()
    expect(asked).toEqual([])
    for (let i = 1; i <= 100; i++) {
      backend.onCursor(0, Float32Array.of(i, 0), failed('x'), 1)
      await vi.advanceTimersByTimeAsync(10)
    }
    await settle()
    expect(asked.length).toBeLessThanOrEqual(6)
    expect(asked.at(-1)).toEqual([100, 0])
  })

  it('tells how many bytes of the points have come, until they are there', async () => {
    const seen: unknown[] = []
    const points = backend.points
    backend.points = (async (m: ModelIndex, step: number | null, plane: Plane, told?: (bytes: number, total: number) => void) => {
      told?.(400, 1000)
      seen.push(core.reading[m])
      return points(m, step, plane)
    }) as unknown as Synthetic['points']
    core.setStep(0, 10)
    await settle()
    expect(seen).toEqual([[400, 1000]])
    expect(core.reading).toEqual([null, null])
  })

  describe('with a layout', () => {
    const laidOut: Plane = { u: [1, 0, 0], v: [0, 1, 0], anchor: [0, 0, 0], layout: 'umap' }
    const principal: Plane = { ...laidOut, layout: undefined }
    let left: AbortSignal | undefined
    let ready = () => {}
    beforeEach(async () => {
      await open(model('vae', 3))
      const points = backend.points
      backend.plane = ((_m: ModelIndex, _step: number | null, { kind }: { kind: string }) => Promise.resolve(kind === 'umap' ? laidOut : principal)) as unknown as Synthetic['plane']
      backend.points = (async (m: ModelIndex, step: number | null, plane: Plane, _told: unknown, signal?: AbortSignal) => {
        left = signal
        return points(m, step, plane)
      }) as unknown as Synthetic['points']
      backend.hold = new Promise((resolve) => (ready = resolve))
      core.setPlane(0, { kind: 'umap' })
      await settle()
    })

    it('the map is empty until it is there, and says so', async () => {
      expect([core.points[0], core.laying]).toEqual([null, [true]])
      expect(backend.asked.at(-1)![1]).toEqual(laidOut)
      ready()
      await settle()
      expect([core.points[0]!.n, core.laying]).toEqual([1, [false]])
    })

    it('another plane leaves it', async () => {
      expect(left!.aborted).toBe(false)
      core.setPlane(0, { kind: 'pca' })
      await settle()
      expect([left, core.laying, core.planes[0]!.layout]).toEqual([undefined, [false], undefined])
    })

    it('no cursor asks for it again', async () => {
      ready()
      await settle()
      const before = backend.asked.length
      core.moveTo(0, [1, 2, 3], true)
      await core.measureOffPlane(0)
      expect(backend.asked.length).toBe(before)
    })

    it('one that fails is told, and the principal plane shown', async () => {
      backend.points = ((_m: ModelIndex, _step: number | null, plane: Plane) =>
        plane.layout ? Promise.reject(new Error('UMAP needs the extra')) : Promise.resolve({ n: 3 })) as unknown as Synthetic['points']
      core.setPlane(0, { kind: 'umap' })
      await settle()
      expect([core.trouble, core.state.models[0]!.choice, core.points[0]!.n]).toEqual(['UMAP needs the extra', { kind: 'pca' }, 3])
      expect(core.laying).toEqual([false])
    })
  })

  it('says where the cursor is', async () => {
    const said: string[] = []
    core.onSay = (text) => said.push(text)
    core.moveTo(0, [0.31, -1.2], true)
    backend.onCursor(0, Float32Array.of(0.31, -1.2), failed('x'), 1)
    await settle()
    expect(said.at(-1)).toBe('z0 0.31, z1 -1.20, nearest 812 label 3, inside the data')
  })

  it('a run without a snapshot waits for its first', async () => {
    await open({ ...model('vae'), ready: false, snapshots: [] })
    expect(backend.asked).toEqual([])
    Object.assign(core.session.models[0]!, { ready: true, snapshots: [10] })
    backend.onVisit!(0)
    await settle()
    expect(core.points[0]).not.toBeNull()
  })

  it('a mistake is one line, until it is dismissed', async () => {
    backend.code = () => Promise.reject(new Error('row 900 does not exist'))
    await core.select(900)
    expect(core.trouble).toBe('row 900 does not exist')
    core.complain(null)
    expect(core.trouble).toBeNull()
  })

  it('keeps a failed tile as failed and when it was drawn', () => {
    backend.onCursor(0, Float32Array.of(0, 0), failed('not a finite number'), 12)
    expect(core.tiles[0]!.failed).toBe('not a finite number')
    expect(core.rate).toEqual({ p50: 12, p95: 12, shown: 1 })
  })

  it('pins what is drawn', () => {
    core.pin()
    expect(core.pins).toEqual([])
    backend.onCursor(0, Float32Array.of(0, 0), failed('x'), 1)
    core.pin()
    expect(core.pins[0]).toMatchObject({ model: 0, z: [0, 0] })
  })

  it('shows the nearest tile that is known where answers take long, and the answer when it comes', async () => {
    const tile = (width: number) => ({ width, height: 1, rgba: null, values: null, failed: null })
    backend.decode = (_m, _s, codes) => Promise.resolve(codes.map(() => tile(7)))
    backend.points = async () => ({
      n: 2, xy: Float32Array.of(-1, -1, 1, 1), row: Uint32Array.of(0, 1), off: new Uint8Array(2), cov: new Uint16Array(6), label: new Uint16Array(2),
    })
    core.setStep(0, 10)
    await settle()
    for (let i = 0; i < 30; i++) backend.onCursor(0, Float32Array.of(0, 0), tile(3), 300)
    core.moveTo(0, [0.1, 0.1])
    expect([core.tiles[0]!.width, core.coarse[0]]).toEqual([3, false])
    backend.onCursor(0, Float32Array.of(0.1, 0.1), tile(3), 300)
    await settle()
    core.moveTo(0, [0.2, 0.2])
    expect([core.tiles[0]!.width, core.coarse[0]]).toEqual([7, true])
    core.pin()
    expect(core.pins).toEqual([])
    backend.onCursor(0, Float32Array.of(0.2, 0.2), tile(3), 300)
    expect([core.tiles[0]!.width, core.coarse[0]]).toEqual([3, false])
  })
})
