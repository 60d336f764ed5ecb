import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url))

/** A temporary copy of the project (or of its configuration alone) into which faults are planted. */
export interface PlantedTree {
  readonly folder: string
  plant(file: string, text: string): void
  /** Runs a program of node_modules/.bin in the copy. */
  run(program: string, args: readonly string[]): { readonly code: number; readonly output: string }
  remove(): void
}

const configuration = ['package.json', 'tsconfig.json', 'eslint.config.js', 'biome.json', '.dependency-cruiser.cjs', '.gitignore']

/** @param folders what to copy besides the configuration, relative to the project's root; absent ones are left out */
export function plantedTree(folders: readonly string[]): PlantedTree {
  const folder = mkdtempSync(join(tmpdir(), 'cloudmoor-fences-'))
  for (const file of configuration) cpSync(join(projectRoot, file), join(folder, file))
  for (const name of folders) {
    if (existsSync(join(projectRoot, name))) cpSync(join(projectRoot, name), join(folder, name), { recursive: true })
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'), 'junction')
  return {
    folder,
    plant(file, text) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), text)
    },
    run(program, args) {
      const done = spawnSync(join(projectRoot, 'node_modules/.bin', program), args, {
        cwd: folder,
        encoding: 'utf8',
        maxBuffer: 1 << 27,
        timeout: 55_000,
        shell: process.platform === 'win32',
      })
      return { code: done.status ?? -1, output: done.stdout + done.stderr }
    },
    remove() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
