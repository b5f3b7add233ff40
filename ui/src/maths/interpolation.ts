// Codes between stops, as legato.latent_space.interpolate gives them.
import { dot } from './planes'

type Numbers = ArrayLike<number>

/** (1 − α)a + αb. */
export function lerp(a: Numbers, b: Numbers, alpha: number): number[] {
  return Array.from(a, (value, i) => (1 - alpha) * value + alpha * (b[i] ?? 0))
}

/** (sin((1−α)ω) a + sin(αω) b)/sin ω, ω the angle between a and b; linear where they are (anti)parallel. */
export function slerp(a: Numbers, b: Numbers, alpha: number): number[] {
  const norms = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b))
  const omega = norms > 0 ? Math.acos(Math.min(1, Math.max(-1, dot(a, b) / norms))) : 0
  const sine = Math.sin(omega)
  if (sine < 1e-6) return lerp(a, b, alpha)
  const [from, to] = [Math.sin((1 - alpha) * omega) / sine, Math.sin(alpha * omega) / sine]
  return Array.from(a, (value, i) => from * value + to * (b[i] ?? 0))
}

/** The code at t in 0 … 1, all legs equally long in t; null below two stops or where they differ in length. */
export function between(stops: readonly Numbers[], t: number, spherical: boolean): number[] | null {
  const legs = stops.length - 1
  if (legs < 1 || stops.some((stop) => stop.length !== stops[0]?.length)) return null
  const leg = Math.min(legs - 1, Math.max(0, Math.floor(t * legs)))
  const [a, b] = [stops[leg], stops[leg + 1]]
  return a && b ? (spherical ? slerp : lerp)(a, b, t * legs - leg) : null
}

/** n codes, equally far apart in t, from the first stop to the last. */
export function frames(stops: readonly Numbers[], n: number, spherical: boolean): number[][] {
  const codes = Array.from({ length: n }, (_, i) => between(stops, i / (n - 1), spherical))
  return codes.filter((code): code is number[] => code !== null)
}
