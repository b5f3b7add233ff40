// The recorded claims run that the package ships (records/tour.py): what β did to fidelity and to samples.

export interface Measured { value: number | null; low: number | null; high: number | null; n: number; unit: string; method: string }
export interface BetaPoint { beta: number; distortion: Measured; rate: Measured; frechet: Measured }
export interface Judged { says: string; verdict: string; estimate: Measured }
export interface TourRecord {
  version: 1; source: string; steps: number; seeds: number; quick: boolean; latent_dim: number; legato: string; torch: string
  curve: BetaPoint[]; verdict: string; sentence: string; rules: Judged[]; leaves_out: string
}

export async function readRecord(base: string): Promise<TourRecord> {
  const answer = await fetch(new URL('tour.json', base))
  if (!answer.ok) throw new Error('the recorded run is not part of this installation')
  return (await answer.json()) as TourRecord
}

/** A coordinate of a value on a logarithmic axis from low to high. */
export const placed = (value: number, low: number, high: number, from: number, to: number): number =>
  from + ((Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (to - from)

/** The extent of all intervals with some room, for a logarithmic axis. */
export function extentOf(all: readonly Measured[]): [number, number] {
  const ends = all.flatMap(({ value, low, high }) => [value, low, high]).filter((end): end is number => end !== null && end > 0)
  return [Math.min(...ends) / 1.08, Math.max(...ends) * 1.08]
}

export function shown({ value, low, high }: Measured, digits = 1): string {
  if (value === null) return 'not measured'
  return low === null || high === null ? value.toFixed(digits) : `${value.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`
}
