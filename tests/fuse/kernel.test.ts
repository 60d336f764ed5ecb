import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Mounted, canMount, run } from './mounted.ts'
import type { WorkerKind } from './mounted.ts'

describe.skipIf(!canMount())('what the kernel makes of the answers', () => {
  let mounted: Mounted
  const start = async (kind: WorkerKind): Promise<void> => {
    mounted = await Mounted.make(kind)
  }
  const sh = async (script: string): Promise<string> => (await run('bash', ['-c', script], mounted.path)).output.trim()
  const counts = async (): Promise<Record<string, number>> =>
    Object.fromEntries((await mounted.counters()).operations.map(({ name, requests }) => [name, requests]))

  afterEach(() => mounted.remove())

  describe('with a plain file system', () => {
    beforeEach(() => start('memory'))

    test('names and attributes are asked for once', async () => {
      await sh('mkdir d; touch d/f')
      await sh('for i in 1 2 3 4 5; do stat d/f absent; done; for i in 1 2 3 4 5; do stat d/f absent; done')
      const { LOOKUP = 0, GETATTR = 0 } = await counts()
      expect([LOOKUP <= 4, GETATTR <= 6]).toEqual([true, true])
    })

    test('a listing brings the attributes: ls -l of 500 files asks for none of them', async () => {
      await sh('mkdir d; cd d; seq 500 | xargs touch')
      await mounted.remoteChange('SIGUSR2') // the kernel looks every name up again
      const before = await counts()
      expect(await sh('ls -l d | wc -l')).toBe('501')
      const after = await counts()
      expect((after['LOOKUP'] ?? 0) - (before['LOOKUP'] ?? 0)).toBeLessThanOrEqual(2)
      expect((after['GETATTR'] ?? 0) - (before['GETATTR'] ?? 0)).toBeLessThanOrEqual(2)
      expect(after['READDIRPLUS']).toBeGreaterThanOrEqual(3)
    })

    test('what another client did is seen once the kernel is told', async () => {
      expect(await sh('touch grows; stat -c %s grows; stat -c %s appears also-appears 2>&1 | grep -c "No such"')).toBe('0\n2')
      await mounted.remoteChange('SIGUSR1')
      expect(await sh('stat -c %s grows appears; stat -c %s also-appears 2>&1 | grep -c "No such"')).toBe('5\n5\n1')
      await mounted.remoteChange('SIGUSR2')
      expect(await sh('stat -c %s also-appears')).toBe('7')
    })

    test('a caller that is interrupted does not disturb anyone', async () => {
      expect(await sh('timeout -s INT 0.1 stat sluggish; echo $?')).toMatch(/124|130/)
      expect(await sh('echo x > y; cat y')).toBe('x')
      const { INTERRUPT = 0 } = await counts()
      expect(INTERRUPT).toBeGreaterThan(0)
    })

    test('mapped memory is read and written', async () => {
      const script = `
        import mmap, os
        f = os.open('mapped', os.O_RDWR | os.O_CREAT)
        os.ftruncate(f, 300000)
        m = mmap.mmap(f, 300000)
        m[0:5] = b'hello'; m[299995:300000] = b'world'
        m.flush(); m.close(); os.close(f)
        data = open('mapped', 'rb').read()
        print(len(data), data[:5].decode(), data[-5:].decode())`
      expect(await sh(`python3 - <<'EOF'\n${script.replaceAll('\n        ', '\n')}\nEOF`)).toBe('300000 hello world')
    })

    test('a range is copied by the server', async () => {
      const script = `import os; a, b = os.open('from', os.O_RDONLY), os.open('to', os.O_RDWR | os.O_CREAT); print(os.copy_file_range(a, b, 3000000))`
      expect(await sh(`head -c 3000000 /dev/urandom > from; python3 -c "${script}"; cmp from to && echo same`)).toBe('3000000\nsame')
      const { COPY_FILE_RANGE_64 = 0, COPY_FILE_RANGE = 0 } = await counts()
      expect(COPY_FILE_RANGE_64 + COPY_FILE_RANGE).toBe(1)
    })
  })

  test('passthrough: the kernel reads the backing file by itself', async () => {
    await start('passthrough')
    const sum = await sh(
      'head -c 2000000 /dev/urandom > /tmp/fuse-backing; cp /tmp/fuse-backing big; sha256sum < big; rm /tmp/fuse-backing',
    )
    expect(await sh('cat big | sha256sum')).toBe(sum)
    const { READ = 0, OPEN = 0 } = await counts()
    expect([READ, OPEN]).toEqual([0, 2])
  })

  test('reads that wait do so beside each other, and none gets the bytes of another', async () => {
    await start('memory-slow')
    const sum = await sh('dd if=/dev/urandom of=big bs=1M count=30 status=none; sha256sum < big')
    const parts =
      await sh(`for i in 0 1 2 3 4 5; do dd if=big of=/dev/shm/fuse-part-$$-$i bs=1M skip=$((i*5)) count=5 iflag=direct status=none & done
      wait; cat /dev/shm/fuse-part-$$-? | sha256sum; rm /dev/shm/fuse-part-$$-?`)
    expect(parts).toBe(sum)
  })
})
