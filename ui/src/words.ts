// What the page says of an image and of a place, in words.
import type { Located, Session } from './contract'

export const NO_CLASS = 65535 // the wire's number for an image without a label

/** A label by its name, '' where there is none. */
export const classOf = ({ data }: Session, label: number | undefined): string =>
  label === undefined || label < 0 || label >= NO_CLASS ? '' : (data.labels?.[label] ?? String(label))

/** A place: the coordinates that are shown, the nearest image, and whether the data goes there. */
export function placeInWords(session: Session, z: number[], found: Located | null): string {
  const shown = z.slice(0, 3).map((value, i) => `z${i} ${value.toFixed(2)}`)
  if (!found) return shown.join(', ')
  const label = classOf(session, found.labels[0])
  return [...shown, `nearest ${found.ids[0] ?? found.rows[0]}${label && ` label ${label}`}`, found.inside ? 'inside the data' : 'outside the data'].join(', ')
}

export function selectedInWords(session: Session, id: string, label: number): string {
  const named = classOf(session, label)
  return `${session.data.image ? 'image' : 'row'} ${id} selected${named && `, label ${named}`}`
}
