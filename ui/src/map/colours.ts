// Colours that stay apart for those who see fewer of them: Okabe-Ito to 8 classes, Tol's muted to 10, grey and chosen ones beyond.
// Fields: viridis; holes: cividis.

export type Rgb = [number, number, number]

const OKABE_ITO = ['E69F00', '56B4E9', '009E73', 'F0E442', '0072B2', 'D55E00', 'CC79A7']
const TOL_MUTED = ['88CCEE', '44AA99', '117733', '332288', 'DDCC77', '999933', 'CC6677', '882255', 'AA4499']
const VIRIDIS = ['440154', '482475', '414487', '355f8d', '2a788e', '21918c', '22a884', '44bf70', '7ad151', 'bddf26', 'fde725']
const CIVIDIS = ['00224e', '123570', '3b496c', '575d6d', '707173', '8a8678', 'a59c74', 'c3b369', 'e1cc55', 'fee838']
// Tol's darkest three would sink into a dark map: lighter ones of the same hue.
const TOL_ON_DARK: Record<string, string> = { '332288': '7C6FDC', '882255': 'C2528A', '117733': '3FA35C' }

export const rgbOf = (hex: string): Rgb => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb
export const css = (rgb: ArrayLike<number>, alpha = 1): string => `rgb(${rgb[0]} ${rgb[1]} ${rgb[2]} / ${alpha})`
export const MOST_CLASSES = 10
export const MOST_PICKED = 8

const ink = (dark: boolean): Rgb => (dark ? [232, 235, 240] : [27, 31, 39])
/** The colour of what has no class, or none of its own. */
export const unclassed = (dark: boolean): Rgb => (dark ? [120, 128, 140] : [150, 157, 168])

/** A colour for each of n classes; beyond ten only the picked ones have a colour of their own. */
export function classColours(n: number, picked: readonly number[], dark: boolean): Rgb[] {
  const muted = TOL_MUTED.map((hex) => rgbOf((dark && TOL_ON_DARK[hex]) || hex))
  const few = [...OKABE_ITO.map(rgbOf), ink(dark)]
  if (n <= few.length) return few.slice(0, n)
  if (n <= MOST_CLASSES) return [...muted, ink(dark)].slice(0, n)
  const colours = Array.from({ length: n }, () => unclassed(dark))
  picked.slice(0, MOST_PICKED).forEach((label, i) => label < n && (colours[label] = few[i]!))
  return colours
}

/** rgba of every point: its class's colour (`ink` without classes), fading with its distance from the plane; of classes that are not
 *  among `only`, where any are, nothing. */
export function pointColours(label: Uint16Array, off: Uint8Array, classes: Rgb[], dark: boolean, fades: boolean, only: readonly number[] = []): Uint8Array {
  const rgba = new Uint8Array(4 * label.length)
  const kept = new Set(only)
  const none = classes.length ? unclassed(dark) : ([86, 138, 196] as Rgb)
  for (let i = 0; i < label.length; i++) {
    if (kept.size && !kept.has(label[i]!)) continue
    const colour = classes[label[i]!] ?? none
    rgba[4 * i] = colour[0]
    rgba[4 * i + 1] = colour[1]
    rgba[4 * i + 2] = colour[2]
    rgba[4 * i + 3] = fades ? 255 - 0.88 * off[i]! : 255
  }
  return rgba
}

/** 256 colours between the anchors. */
function ramp(anchors: string[]): Uint8Array {
  const found = anchors.map(rgbOf)
  const table = new Uint8Array(3 * 256)
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (found.length - 1)
    const low = Math.min(found.length - 2, Math.floor(at))
    for (let c = 0; c < 3; c++) table[3 * i + c] = Math.round(found[low]![c]! + (at - low) * (found[low + 1]![c]! - found[low]![c]!))
  }
  return table
}
export const viridis = ramp(VIRIDIS)
export const cividis = ramp(CIVIDIS)
export const gradient = (table: Uint8Array): string =>
  `linear-gradient(90deg, ${[0, 64, 128, 192, 255].map((i) => css(table.slice(3 * i, 3 * i + 3))).join(', ')})`
