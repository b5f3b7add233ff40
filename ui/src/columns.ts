// A table's columns: values in their own units, and beside each other in standard deviations from their means.
import type { Column, Tile } from './contract'

export const REACH = 3 // standard deviations of a full bar

/** The row with its values in standard deviations; a picture as it is. */
export function standardised(tile: Tile, columns: readonly Column[] | null | undefined): Tile {
  if (!tile.values || columns?.length !== tile.values.length) return tile
  return { ...tile, standard: standardsOf(tile.values, columns) }
}

export function standardsOf(values: ArrayLike<number>, columns: readonly Column[]): Float32Array {
  return Float32Array.from(columns, ({ mean, std }, i) => (values[i]! - mean) / std)
}

/** As many digits as a tenth of the column's spread needs, at most 8 after the point. */
export function told(value: number, { std }: Pick<Column, 'std'>): string {
  if (!Number.isFinite(value)) return '–'
  const digits = Math.ceil(-Math.log10(std)) + 1
  if (digits > 8 || Math.abs(value) >= 1e15) return value.toPrecision(4)
  return value.toFixed(Math.max(0, Math.min(8, digits))).replace('-', '−')
}

export const titled = ({ name, unit }: Column): string => (unit ? `${name} (${unit})` : name)

/** A value in words: how far from the column's mean. */
export function apart(standard: number): string {
  return Math.abs(standard) < 0.05 ? 'at the mean' : `${Math.abs(standard).toFixed(1)} σ ${standard < 0 ? 'below' : 'above'} the mean`
}
