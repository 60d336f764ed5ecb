import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Mounted, canMount, run } from './mounted.ts'
import type { WorkerKind } from './mounted.ts'

/** Programs on a real mount. `set -e`, so that any refusal ends the script. */
const scripts: Readonly<Record<string, string>> = {
  'coreutils make, copy, move, link and remove': `
    mkdir -p a/b/c; echo one > a/one; cp a/one a/b/two; mv a/b/two a/b/c/three; ln a/one a/hard; ln -s ../one a/b/soft
    test "$(cat a/b/soft)" = one; test "$(stat -c %h a/one)" = 2; test "$(readlink a/b/soft)" = ../one
    chmod 640 a/one; test "$(stat -c %a a/hard)" = 640; chown 12:34 a/one; test "$(stat -c %u:%g a/hard)" = 12:34
    touch -d '2001-02-03 04:05:06.123456789' a/one; test "$(stat -c %y a/one | cut -c1-29)" = '2001-02-03 04:05:06.123456789'
    touch -d '1960-01-01' a/one; test "$(stat -c %Y a/one)" = "$(date -d 1960-01-01 +%s)"
    truncate -s 5000000 a/one; test "$(stat -c %s a/one)" = 5000000; truncate -s 2 a/one; test "$(cat a/one)" = on
    mkfifo a/pipe; (echo through > a/pipe &); test "$(cat a/pipe)" = through
    ls -laR > /dev/null; du -s a > /dev/null; find a -type f | sort; rm -r a; test -z "$(ls)"`,
  'contents come back, whole and from the middle': `
    head -c 5000000 /dev/urandom > big; sum=$(sha256sum < big); cp big copy; test "$(sha256sum < copy)" = "$sum"
    dd if=big of=direct bs=1M iflag=direct oflag=direct status=none 2>/dev/null || dd if=big of=direct bs=1M status=none
    test "$(sha256sum < direct)" = "$sum"; dd if=big bs=1 skip=4999990 status=none | cmp - <(tail -c 10 big)
    printf XY | dd of=big bs=1 seek=3000000 conv=notrunc status=none; test "$(dd if=big bs=1 skip=3000000 count=2 status=none)" = XY
    echo tail >> big; test "$(tail -n 1 big | tail -c 5)" = tail; test "$(stat -c %s big)" = 5000005; rm big copy direct`,
  'renames replace, refuse and exchange': `
    echo 1 > x; echo 2 > y; mv x y; test "$(cat y)" = 1; test ! -e x; echo 3 > z; mv -n y z; test "$(cat z)" = 3
    mkdir d e; touch e/full; if mv -T d e 2> /dev/null; then exit 1; fi; mv -T e d; test -e d/full; rm -r d y z`,
  'names of many kinds': `
    n=$(printf 'x%.0s' $(seq 255)); touch "$n" ' ' ./- $'new\\nline' $'\\xff\\xfe' 'ünï'; test "$(ls | grep -c x)" -ge 1
    if touch "$n"y 2> /dev/null; then exit 1; fi; test "$(find . -mindepth 1 -print0 | tr -dc '\\0' | wc -c)" = 6; rm -- *`,
  'an unlinked file lives while it is open': `
    exec 7<> held; rm held; echo still >&7; test "$(cat /proc/$$/fd/7)" = still; exec 7>&-; test ! -e held`,
  'a folder of 800 names is listed once each, also while it is emptied': `
    mkdir many; (cd many; seq 800 | xargs touch); test "$(ls many | sort -u | wc -l)" = 800; test "$(ls -l many | wc -l)" = 801
    rm -r many; test ! -e many`,
  'tar goes out and back': `
    mkdir src; for i in 1 2 3 4 5; do mkdir src/$i; head -c 30000 /dev/urandom > src/$i/f; ln -s f src/$i/l; done
    tar cf all.tar src; mkdir back; tar xf all.tar -C back; diff -r --no-dereference src back/src; rm -r src back all.tar`,
  'git makes, commits, packs and checks a repository': `
    git init -q r; cd r; git config user.email a@b; git config user.name n
    for i in 1 2 3 4 5 6; do echo $i > f$i; git add .; git commit -q -m c$i; done
    git gc -q; git fsck --full 2>&1; test "$(git log --oneline | wc -l)" = 6; test -z "$(git status --porcelain)"
    git mv f1 g1; git commit -q -m moved; git checkout -q HEAD~3; test ! -e f5; cd ..; rm -rf r`,
  'locks are kept by the kernel': `flock lock -c true; flock -n lock -c 'if flock -n lock -c true; then exit 1; fi'; rm lock`,
  'what is not served says so': `
    touch f; if setfattr -n user.a -v b f 2> /dev/null; then exit 1; fi; if lsattr f 2> /dev/null; then exit 1; fi
    test "$(stat -f -c %l .)" = 255; fallocate -l 100000 f; test "$(stat -c %s f)" = 100000; rm f`,
}

describe.skipIf(!canMount())('programs on a mount', () => {
  describe.each<WorkerKind>(['memory', 'memory-slow'])('served by a file system of kind %s', (kind) => {
    let mounted: Mounted

    beforeAll(async () => {
      mounted = await Mounted.make(kind)
    })

    afterAll(async () => {
      const counters = await mounted.counters()
      await mounted.remove()
      expect(counters.operations.length).toBeGreaterThan(20)
      // Whatever the programs did, the kernel never refused an answer and nothing was a bug of ours.
      expect(mounted.said.filter((line) => /^(warn|error|debug)/.test(line))).toEqual([])
    })

    test.each(Object.entries(scripts))('%s', async (_what, script) => {
      const { code, output } = await run('bash', ['-ec', script], mounted.path)
      expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' })
    })
  })

  test('the end of the mount ends the worker', async () => {
    const mounted = await Mounted.make('memory')
    const gone = new Promise<number | null>((resolve) => mounted.worker?.once('exit', resolve))
    await mounted.unmount()
    const code = await gone
    await mounted.remove()
    expect(code).toBe(0)
  })
})
