import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Cursors, type Wire } from '../src/cursors'

/** A socket in memory: what was sent, and answers on demand. */
class Fake implements Wire {
  binaryType = ''
  readyState = 0 as WebSocket['readyState']
  onopen: Wire['onopen'] = null
  onclose: Wire['onclose'] = null
  onmessage: Wire['onmessage'] = null
  sent: DataView[] = []
  open() { this.readyState = 1; this.onopen?.({} as Event) }
  close() { this.readyState = 3; this.onclose?.({} as CloseEvent) }
  send(data: unknown) { this.sent.push(new DataView(data as ArrayBuffer)) }
  get last() { return this.sent.at(-1)! }
  answer(seq = this.last.getUint32(0, true), model = this.last.getUint8(5)) {
    const bytes = new DataView(new ArrayBuffer(16))
    bytes.setUint32(0, seq, true)
    ;[1, model, 0, 4].forEach((value, i) => bytes.setUint8(4 + i, value))
    bytes.setUint16(8, 1, true)
    bytes.setUint16(10, 1, true)
    this.onmessage?.({ data: bytes.buffer } as MessageEvent)
  }
}

let wires: Fake[]
let cursors: Cursors
let drawn: number[]
const at = (value: number) => Float32Array.of(value, 0)
const asked = (wire: Fake) => wire.sent.map((frame) => frame.getFloat32(8, true))

beforeEach(() => {
  vi.useFakeTimers()
  wires = []
  drawn = []
  cursors = new Cursors(() => (wires.push(new Fake()), wires.at(-1)!))
  cursors.onTile = (_model, z) => drawn.push(z[0]!)
})
afterEach(() => void vi.useRealTimers())

describe('cursors', () => {
  it('one under way, the newest waits, those between are never sent', () => {
    const [wire] = wires as [Fake]
    wire.open()
    for (let i = 0; i < 200; i++) cursors.ask(0, 0, at(i))
    expect(asked(wire)).toEqual([0])
    wire.answer()
    expect(asked(wire)).toEqual([0, 199])
    wire.answer()
    expect(drawn).toEqual([0, 199])
    expect([cursors.sent, cursors.drawn, cursors.inFlightMax]).toEqual([2, 2, 1])
  })

  it('models do not wait for one another', () => {
    const [wire] = wires as [Fake]
    wire.open()
    cursors.ask(0, 0, at(1))
    cursors.ask(1, 3, at(2))
    expect(wire.sent.map((frame) => [frame.getUint8(5), frame.getUint16(6, true)])).toEqual([[0, 0], [1, 3]])
  })

  it('drops an answer that nobody waits for', () => {
    const [wire] = wires as [Fake]
    wire.open()
    cursors.ask(0, 0, at(1))
    wire.answer(77, 0)
    wire.answer(1, 1)
    expect(drawn).toEqual([])
    wire.answer(1, 0)
    expect(drawn).toEqual([1])
  })

  it('connects again after 0.5, 1, 2 … at most 8 seconds and asks what was lost', () => {
    const seen: boolean[] = []
    cursors.onConnection = (open) => seen.push(open)
    wires[0]!.open()
    cursors.ask(0, 0, at(5))
    wires[0]!.close()
    for (const wait of [500, 1000, 2000, 4000, 8000, 8000]) {
      const before = wires.length
      vi.advanceTimersByTime(wait - 1)
      expect(wires).toHaveLength(before)
      vi.advanceTimersByTime(1)
      expect(wires).toHaveLength(before + 1)
      wires.at(-1)!.close()
    }
    vi.advanceTimersByTime(8000)
    const back = wires.at(-1)!
    back.open()
    expect(asked(back)).toEqual([5])
    back.answer()
    expect(drawn).toEqual([5])
    expect([seen[0], seen.at(-1)]).toEqual([true, true])
  })

  it('after a loss the newest wish wins over the lost one', () => {
    wires[0]!.open()
    cursors.ask(0, 0, at(1))
    cursors.ask(0, 0, at(2))
    wires[0]!.close()
    cursors.ask(0, 0, at(3))
    vi.advanceTimersByTime(500)
    wires[1]!.open()
    expect(asked(wires[1]!)).toEqual([3])
  })
})
