// Writes beside the built page what it was built from: a test compares it with the sources, without node.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = import.meta.dirname
const sources = ['index.html', 'package-lock.json', 'package.json', 'tsconfig.json', 'vite.config.ts']
for (const entry of readdirSync(join(here, 'src'), { recursive: true, withFileTypes: true }))
  if (entry.isFile()) sources.push(join(entry.parentPath, entry.name).slice(here.length + 1))

const found = {}
for (const name of sources.sort()) found[name] = createHash('sha256').update(readFileSync(join(here, name))).digest('hex')
writeFileSync(join(here, '../src/legato/explorer/_ui/sources.json'), JSON.stringify(found, null, 1) + '\n')
