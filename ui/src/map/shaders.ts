// Cameras come as (a, b, 2·scale/width, 2·scale/height). Colours are multiplied by their alpha before they are blended.
const HEAD = '#version 300 es\nprecision highp float;\n'

export const PICTURE = {
  vertex: HEAD + `
uniform vec4 camera, extent;
out vec2 uv;
void main() {
  uv = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 at = mix(extent.xy, extent.zw, uv);
  gl_Position = vec4((at - camera.xy) * camera.zw, 0, 1);
}`,
  fragment: HEAD + `
uniform sampler2D image;
uniform float gain;
in vec2 uv;
out vec4 colour;
void main() {
  vec4 found = texture(image, uv);
  if (gain <= 0.0) { colour = found; return; }
  float alpha = 1.0 - exp(-gain * found.a);
  colour = vec4(found.rgb / max(found.a, 1e-4), 1) * alpha * 0.8;
}`,
}

/** A quad of 3 σ for every point: Cholesky's factor of its covariance takes the corner there. */
export const CLOUD = {
  vertex: HEAD + `
uniform vec4 camera;
uniform float blur, k;
layout(location = 0) in vec2 xy;
layout(location = 1) in vec3 cov;
layout(location = 2) in vec4 tint;
out vec2 q;
flat out vec4 colour;
void main() {
  q = 3.0 * (2.0 * vec2(gl_VertexID & 1, gl_VertexID >> 1) - 1.0);
  vec3 c = k * k * cov + vec3(blur, 0, blur);
  float l11 = sqrt(c.x), l21 = c.y / l11, l22 = sqrt(max(c.z - l21 * l21, 0.0));
  colour = tint;
  vec2 at = xy + vec2(l11 * q.x, l21 * q.x + l22 * q.y);
  gl_Position = cov.x > 0.0 ? vec4((at - camera.xy) * camera.zw, 0, 1) : vec4(2, 2, 2, 1);
}`,
  fragment: HEAD + `
in vec2 q;
flat in vec4 colour;
out vec4 sum;
void main() {
  float w = exp(-0.5 * dot(q, q)) * colour.a;
  sum = vec4(colour.rgb * w, w);
}`,
}

export const POINT = {
  vertex: HEAD + `
uniform vec4 camera, other;
uniform float size, morph;
layout(location = 0) in vec2 xy;
layout(location = 2) in vec4 tint;
layout(location = 3) in vec2 xy2;
out vec4 colour;
void main() {
  vec2 here = (xy - camera.xy) * camera.zw;
  if (morph > 0.0) here = mix(here, (xy2 - other.xy) * other.zw, morph);
  gl_Position = vec4(here, 0, 1);
  gl_PointSize = size + 1.0;
  colour = tint;
}`,
  fragment: HEAD + `
uniform vec3 outline;
uniform float size, diamond, opacity;
in vec4 colour;
out vec4 pixel;
void main() {
  vec2 at = abs(gl_PointCoord - 0.5) * (size + 1.0);
  float far = mix(length(at), (at.x + at.y) * 0.86, diamond);
  float cover = clamp(0.5 * size + 0.5 - far, 0.0, 1.0);
  float rim = size > 4.0 ? smoothstep(0.5 * size - 1.4, 0.5 * size - 0.4, far) * 0.55 : 0.0;
  float alpha = cover * colour.a * opacity;
  pixel = vec4(mix(colour.rgb, outline, rim), 1) * alpha;
}`,
}
