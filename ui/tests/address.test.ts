import { describe, expect, it } from 'vitest'
import { classAddress, fromAddress, startState, toAddress } from '../src/address'
import { nextOf } from '../src/keys'
import type { State } from '../src/contract'

const two = [{ latent_dim: 2 }, { latent_dim: 2 }]
const f32 = (values: number[]): number[] => Array.from(Float32Array.from(values), (value) => Number(value.toPrecision(7)))

const full: State = {
  active: 1, compare: false, link: 'z', morph: 0.25, only: [3, 65535], dots: 0.35, thumbs: true, colour: 'column3', range: [0.25, 0.99],
  models: [
    { step: 300, choice: { kind: 'axes', i: 1, j: 0 }, cursor: f32([0.31, -1.2]), camera: { a: 0.5, b: -2, scale: 81.25 } },
    { step: null, choice: { kind: 'local', at: [0.5, 1] }, cursor: f32([1e-7, 12345.678]), camera: null },
  ],
  selected: 812, background: 'holes', clouds: 1.5, picked: [3, 12], path: [{ z: [1, 2], row: 7, name: 'image 7; a~b&c=d' }, { z: [-1, 0.5], row: null, name: '' }],
  t: 0.42, spherical: true, samples: { seed: 12, temperature: 0.7 }, tab: 'path', tour: 3, theme: 'dark', keys: false,
}

describe('the address', () => {
  it('keeps the whole state', () => expect(fromAddress('#' + toAddress(full), two)).toEqual(full))
  it('says nothing of the start', () => expect(toAddress(startState(two))).toBe(''))
  it('reads an empty one as the start', () => expect(fromAddress('', two)).toEqual(startState(two)))
  it('is short and readable', () => {
    const state = { ...startState(two), background: 'holes' as const, selected: 812 }
    expect(toAddress(state)).toBe('image=812&ground=holes')
  })
  it('keeps 32 latents', () => {
    const wide = [{ latent_dim: 32 }]
    const state = startState(wide)
    state.models[0]!.cursor = f32(Array.from({ length: 32 }, (_, i) => Math.sin(i)))
    expect(fromAddress(toAddress(state), wide)).toEqual(state)
    state.models[0]!.choice = { kind: 'axes', i: 30, j: 4 }
    expect(fromAddress(toAddress(state), wide)).toEqual(state)
  })
  it('keeps a layout, of more than two latents', () => {
    const wide = [{ latent_dim: 5 }]
    const state = startState(wide)
    state.models[0]!.choice = { kind: 'umap' }
    expect(toAddress(state)).toBe('plane=umap')
    expect(fromAddress('#plane=umap', wide)).toEqual(state)
    expect(fromAddress('#plane=umap', two)).toEqual(startState(two))
  })
  it('keeps plane z0 × z1 of many latents apart from the start, which is PCA', () => {
    const wide = [{ latent_dim: 5 }]
    const state = startState(wide)
    state.models[0]!.cursor = [0, 0, 0, 0, 0]
    state.models[0]!.choice = { kind: 'axes', i: 0, j: 1 }
    expect(fromAddress(toAddress(state), wide)).toEqual(state)
  })
  it.each(['at=1', 'at=1,x', 'plane=z0,z9', 'view=1,2,-3', 'ground=lava', 'on=7', 'tour=9', 't=x', 'path=~~', 'morph=', 'nonsense', 'a=%'])(
    'leaves what is wrong at the start: %s', (address) => expect(fromAddress(address, two)).toEqual(startState(two)))
  it('reads what a mail program encoded', () =>
    expect(fromAddress('at=0.5%2C1', two).models[0]!.cursor).toEqual([0.5, 1]))
})

describe('the page of another class', () => {
  it('lies beside this one, or below the first', () => {
    expect(classAddress({ pathname: '/token/', search: '?e2e=1' }, startState(two), 3)).toBe('/token/class/3/?e2e=1#')
    expect(classAddress({ pathname: '/token/class/12/', search: '' }, startState(two), 0)).toBe('/token/class/0/#')
  })
  it('keeps the places and leaves the images of the class behind', () => {
    const there = fromAddress(new URL(classAddress({ pathname: '/token/', search: '' }, full, 1), 'http://x').hash, two)
    expect(there).toEqual({ ...full, selected: null, picked: [], only: [] })
  })
  it('goes from image to image of its map', () => {
    const rows = [9, 2, 5]
    expect([null, 2, 5, 9, 3].map((row) => nextOf(rows, row, 1))).toEqual([2, 5, 9, 2, 5])
    expect([null, 2, 5, 9, 3].map((row) => nextOf(rows, row, -1))).toEqual([9, 9, 2, 5, 2])
  })
})
