// The explorer's style as the style of a shadow tree: what it says of the document's root it says of the host.

export function hosted(css: string): string {
  return css
    .replace(/:root\[([^\]]+)\]/g, ':host([$1])')
    .replace(/:root/g, ':host')
    .replace(/(^|[{},])\s*html(?=\s*[{,])/g, '$1:host')
    .replace(/(^|[{},])\s*body(?=\s*[{,])/g, '$1:host')
}
