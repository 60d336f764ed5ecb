import { beforeEach, describe, expect, test } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import type { Clock } from '../../common/clock.ts'
import { type MountActions, MountRunner } from './mount-runner.ts'

const patience = AbortSignal.timeout(10_000)

let done: string[] = []
let timers: (() => void)[] = []
beforeEach(() => {
  done = []
  timers = []
})

const clock: Clock = {
  now: () => 1_000,
  monotonic: () => 1_000,
  after: (_milliseconds, work) => {
    timers.push(work)
    return () => {
      timers = timers.filter((timer) => timer !== work)
    }
  },
}

function runnerWith(actions: Partial<MountActions>): MountRunner {
  const noted = (name: string) => async () => {
    done.push(name)
  }
  return new MountRunner({
    clock,
    log: () => {},
    onChange: () => {},
    onAlert: (_severity, reason) => done.push(reason),
    actions: {
      bringUp: noted('up'),
      takeDown: noted('down'),
      replaceWorker: noted('replace'),
      abort: () => done.push('abort'),
      ...actions,
    },
  })
}

describe('the runner', () => {
  test('starts and stops, and answers both', async () => {
    const runner = runnerWith({})
    await runner.start(patience)
    expect(runner.state.kind).toBe('mounted')
    await runner.stop({ force: false, drainMs: 1, then: 'rest' }, patience)
    expect(runner.state.kind).toBe('unmounted')
    expect(done).toEqual(['up', 'down'])
  })

  test('tells why a start failed, and tries again by itself', async () => {
    let tries = 0
    const runner = runnerWith({
      bringUp: async () => {
        if (tries++ === 0) throw new CloudError('not-empty', 'full')
      },
    })
    await expect(runner.start(patience)).rejects.toMatchObject({ kind: 'not-empty' })
    expect(runner.state.kind).toBe('failed')
    await Promise.resolve()
    expect(timers).toHaveLength(1)
    const again = new Promise<void>((resolve) => setTimeout(resolve, 5))
    timers[0]?.()
    await again
    expect(runner.state.kind).toBe('mounted')
  })

  test('a stop while it comes up ends the coming up before it takes down', async () => {
    const runner = runnerWith({
      bringUp: (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            setTimeout(() => {
              done.push('undone')
              reject(new CloudError('cancelled', 'ended'))
            }, 10)
          })
        }),
    })
    const start = expect(runner.start(patience)).rejects.toMatchObject({ kind: 'cancelled' })
    await Promise.resolve()
    await runner.stop({ force: false, drainMs: 1, then: 'rest' }, patience)
    await start
    expect(done).toEqual(['undone', 'down'])
    expect(runner.state.kind).toBe('unmounted')
  })

  test('a busy mount stays mounted and says so', async () => {
    const runner = runnerWith({ takeDown: () => Promise.reject(new CloudError('busy', 'vim')) })
    await runner.start(patience)
    await expect(runner.stop({ force: false, drainMs: 1, then: 'rest' }, patience)).rejects.toMatchObject({ kind: 'busy' })
    expect(runner.state.kind).toBe('mounted')
  })

  test('a released runner does nothing more', async () => {
    const runner = runnerWith({})
    await runner.start(patience)
    runner.release()
    runner.input({ kind: 'workerLost', fruitless: 1, recent: 1 })
    expect(done).toEqual(['up'])
  })
})
