// The whole state as the page's address after #, short enough to read: only what differs from the start is written.
// Numbers keep seven significant digits, a float32's worth.
import type { Background, ModelInfo, PlaneChoice, State, Stop } from './contract'

export type Start = Pick<ModelInfo, 'latent_dim'>[]
type ModelState = State['models'][number]

const BACKGROUNDS: Background[] = ['none', 'density', 'tiles', 'holes', 'support', 'speed']
const TABS: State['tab'][] = ['map', 'dimensions', 'path', 'train']
const THEMES: State['theme'][] = ['auto', 'light', 'dark']

export function startState(models: Start): State {
  return {
    active: 0, compare: models.length > 1, link: 'image', morph: null,
    models: models.map(({ latent_dim }) => ({
      step: null, choice: latent_dim > 2 ? { kind: 'pca' } : { kind: 'axes', i: 0, j: latent_dim > 1 ? 1 : 0 }, cursor: [], camera: null,
    })),
    selected: null, background: 'none', clouds: 1, picked: [], only: [], dots: 1, thumbs: false, colour: 'class', range: [0, 1], path: [], t: 0, spherical: false,
    samples: { seed: 0, temperature: 1 }, tab: 'map', tour: null, theme: 'auto', keys: true,
  }
}

const short = (value: number): string => String(Number(value.toPrecision(7)))
const list = (values: ArrayLike<number>): string => Array.from(values, short).join(',')
const numbers = (text: string): number[] => (text === '' ? [] : text.split(',').map(Number))
const finite = (values: number[]): boolean => values.every(Number.isFinite)

function planeText(choice: PlaneChoice): string {
  if (choice.kind === 'axes') return `z${choice.i},z${choice.j}`
  return choice.kind === 'local' ? `local,${list(choice.at)}` : choice.kind
}

function planeOf(text: string): PlaneChoice | null {
  if (text === 'pca' || text === 'umap') return { kind: text }
  if (text.startsWith('local,')) {
    const at = numbers(text.slice(6))
    return finite(at) ? { kind: 'local', at } : null
  }
  const axes = /^z(\d+),z(\d+)$/.exec(text)
  return axes ? { kind: 'axes', i: Number(axes[1]), j: Number(axes[2]) } : null
}

// A name's own separators are written with $ for %, which no program that passes links on touches.
const named = (name: string): string => encodeURIComponent(name).replace(/~/g, '%7E').replace(/%/g, '$')
function nameOf(text: string): string {
  try {
    return decodeURIComponent(text.replace(/\$/g, '%'))
  } catch {
    return text
  }
}

const stopText = (stop: Stop): string => [stop.row ?? '', list(stop.z), named(stop.name)].join('~')
function stopOf(text: string): Stop | null {
  const [row = '', z = '', name = ''] = text.split('~')
  const code = numbers(z)
  return code.length && finite(code) ? { z: code, row: row === '' ? null : Number(row), name: nameOf(name) } : null
}

function modelTexts(model: ModelState, start: ModelState): Record<string, string> {
  const plane = planeText(model.choice)
  return {
    at: list(model.cursor),
    plane: plane === planeText(start.choice) ? '' : plane,
    step: model.step === null ? '' : String(model.step),
    view: model.camera ? list([model.camera.a, model.camera.b, model.camera.scale]) : '',
  }
}

export function toAddress(state: State): string {
  const start = startState(state.models.map(({ cursor, choice }) => ({ latent_dim: cursor.length || (choice.kind === 'axes' ? 2 : 3) })))
  const texts: [string, string][] = []
  state.models.forEach((model, m) => {
    for (const [key, text] of Object.entries(modelTexts(model, start.models[m]!))) texts.push([key + (m || ''), text])
  })
  const plain: [string, unknown, unknown][] = [
    ['on', state.active, 0], ['compare', Number(state.compare), Number(start.compare)], ['link', state.link, 'image'],
    ['morph', state.morph === null ? '' : short(state.morph), ''], ['image', state.selected ?? '', ''], ['ground', state.background, 'none'],
    ['clouds', short(state.clouds), '1'], ['picked', list(state.picked), ''], ['only', list(state.only), ''], ['dots', short(state.dots), '1'],
    ['colour', named(state.colour), 'class'], ['range', list(state.range), '0,1'],
    ['thumbs', Number(state.thumbs), 0],
    ['path', state.path.map(stopText).join(';'), ''],
    ['t', short(state.t), '0'], ['arc', Number(state.spherical), 0],
    ['draw', `${state.samples.seed},${short(state.samples.temperature)}`, '0,1'], ['tab', state.tab, 'map'],
    ['tour', state.tour ?? '', ''], ['theme', state.theme, 'auto'], ['keys', Number(state.keys), 1],
  ]
  for (const [key, value, usual] of plain) if (String(value) !== String(usual)) texts.push([key, String(value)])
  return texts.filter(([, text]) => text !== '').map(([key, text]) => `${key}=${text}`).join('&')
}

/** The page of another class: the same places under it. Images that were chosen are of this class, and stay behind. */
export function classAddress({ pathname, search }: { pathname: string; search: string }, state: State, number: number): string {
  const root = pathname.replace(/class\/\d+\/$/, '')
  return `${root}class/${number}/${search}#${toAddress({ ...state, selected: null, picked: [], only: [] })}`
}

/** What an address says, over the start; what it says wrongly is left at the start. */
export function fromAddress(address: string, models: Start): State {
  const state = startState(models)
  const texts = new Map(address.replace(/^#/, '').split('&').map((part) => [part.slice(0, part.indexOf('=')), safe(part.slice(part.indexOf('=') + 1))]))
  const read = <T>(key: string, convert: (text: string) => T | null | undefined, keep: (value: T) => void) => {
    const text = texts.get(key)
    const value = text === undefined || text === '' ? null : convert(text)
    if (value !== null && value !== undefined) keep(value)
  }
  const number = (text: string) => (Number.isFinite(Number(text)) ? Number(text) : null)
  const whole = (text: string) => (Number.isSafeInteger(Number(text)) && Number(text) >= 0 ? Number(text) : null)
  const oneOf = <T extends string>(names: T[]) => (text: string) => names.find((name) => name === text)
  state.models.forEach((model, m) => {
    const suffix = m || ''
    const dim = models[m]!.latent_dim
    read('at' + suffix, (text) => codeOf(text, dim), (z) => (model.cursor = z))
    read('plane' + suffix, (text) => fits(planeOf(text), dim), (choice) => (model.choice = choice))
    read('step' + suffix, whole, (step) => (model.step = step))
    read('view' + suffix, (text) => codeOf(text, 3), ([a, b, scale]) => scale! > 0 && (model.camera = { a: a!, b: b!, scale: scale! }))
  })
  read('on', whole, (on) => on < models.length && (state.active = on ? 1 : 0))
  read('compare', whole, (on) => (state.compare = on === 1 && models.length > 1))
  read('link', oneOf<State['link']>(['image', 'z']), (link) => (state.link = link))
  read('morph', number, (morph) => (state.morph = models.length > 1 ? Math.min(1, Math.max(0, morph)) : null))
  read('image', whole, (row) => (state.selected = row))
  read('ground', oneOf(BACKGROUNDS), (ground) => (state.background = ground))
  read('clouds', number, (clouds) => (state.clouds = Math.max(0, clouds)))
  read('picked', numbers, (picked) => finite(picked) && (state.picked = picked))
  read('only', numbers, (only) => finite(only) && (state.only = only))
  read('dots', number, (dots) => (state.dots = Math.min(1, Math.max(0, dots))))
  read('thumbs', whole, (thumbs) => (state.thumbs = thumbs === 1))
  read('colour', nameOf, (colour) => (state.colour = colour))
  read('range', (text) => codeOf(text, 2), ([from, to]) => from! >= 0 && to! <= 1 && from! <= to! && (state.range = [from!, to!]))
  read('path', (text) => text.split(';').map(stopOf), (stops) => (state.path = stops.filter((stop): stop is Stop => stop !== null)))
  read('t', number, (t) => (state.t = Math.min(1, Math.max(0, t))))
  read('arc', whole, (arc) => (state.spherical = arc === 1))
  read('draw', (text) => codeOf(text, 2), ([seed, temperature]) => (state.samples = { seed: seed!, temperature: temperature! }))
  read('tab', oneOf(TABS), (tab) => (state.tab = tab))
  read('tour', whole, (tour) => tour >= 1 && tour <= 8 && (state.tour = tour))
  read('theme', oneOf(THEMES), (theme) => (state.theme = theme))
  read('keys', whole, (keys) => (state.keys = keys === 1))
  return state
}

function codeOf(text: string, length: number): number[] | null {
  const values = numbers(text)
  return values.length === length && finite(values) ? values : null
}

function fits(choice: PlaneChoice | null, dim: number): PlaneChoice | null {
  if (choice?.kind === 'axes') return choice.i < dim && choice.j < dim ? choice : null
  if (choice?.kind === 'umap') return dim > 2 ? choice : null
  return choice?.kind === 'local' && choice.at.length !== dim ? null : choice
}

/** Mail programs encode commas and semicolons. */
function safe(text: string): string {
  return text.replace(/%2C/gi, ',').replace(/%3B/gi, ';').replace(/%7E/gi, '~').replace(/%24/g, '$')
}
