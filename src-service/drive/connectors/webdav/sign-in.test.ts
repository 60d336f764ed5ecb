import { describe, expect, test } from 'vitest'
import { challengesOf, SignIn } from './sign-in.ts'

const mufasa = () => ({ username: 'Mufasa', password: 'Circle of Life', token: undefined })

/** RFC 7616, section 3.9.1: both challenges at once. */
const challenge = {
  'www-authenticate': ['SHA-256', 'MD5'].map(
    (algorithm) =>
      `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
  ),
}

describe('digest', () => {
  test('the better algorithm is taken, and each use is counted', () => {
    const signIn = new SignIn('auto', mufasa)
    expect(signIn.header('GET', '/dir/index.html')).toBeUndefined()
    expect(signIn.learn(challenge, undefined)).toBe(true)
    const first = signIn.header('GET', '/dir/index.html')
    expect(first).toContain('algorithm=SHA-256')
    expect(first).toContain('nc=00000001')
    expect(signIn.header('GET', '/dir/index.html')).toContain('nc=00000002')
  })

  test.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('the response of the RFC with %s', (algorithm, response) => {
    const signIn = new SignIn('digest', mufasa, () => 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ')
    const one = challenge['www-authenticate'].filter((text) => text.includes(`algorithm=${algorithm},`))
    signIn.learn({ 'www-authenticate': one }, undefined)
    expect(signIn.header('GET', '/dir/index.html')).toContain(`response="${response}"`)
  })

  test('the same nonce refused is a wrong password; a stale one is not', () => {
    const signIn = new SignIn('auto', mufasa)
    signIn.learn(challenge, undefined)
    const sent = signIn.header('GET', '/')
    expect(signIn.learn(challenge, sent)).toBe(false)
    expect(signIn.learn({ 'www-authenticate': `${challenge['www-authenticate'][0]}, stale=true` }, sent)).toBe(true)
  })
})

test('basic is taken where nothing better is offered, once', () => {
  const signIn = new SignIn('auto', mufasa)
  const asked = { 'www-authenticate': 'Negotiate, Basic realm="a \\"quoted\\" realm"' }
  expect(signIn.learn(asked, undefined)).toBe(true)
  const sent = signIn.header('GET', '/')
  expect(sent).toBe(`Basic ${Buffer.from('Mufasa:Circle of Life').toString('base64')}`)
  expect(signIn.learn(asked, sent)).toBe(false)
})

test('nobody is asked for more than was wanted', () => {
  const basic = new SignIn('basic', mufasa)
  expect(basic.learn(challenge, basic.header('GET', '/'))).toBe(false)
  const digest = new SignIn('digest', mufasa)
  expect(digest.learn({ 'www-authenticate': 'Basic realm="x"' }, undefined)).toBe(false)
  expect(digest.header('GET', '/')).toBeUndefined()
})

test('a secret that is missing is said, and the token goes before the password', () => {
  expect(() => new SignIn('basic', () => ({ username: 'a', password: undefined, token: undefined })).header('GET', '/')).toThrow(
    expect.objectContaining({ kind: 'sign-in' }),
  )
  expect(new SignIn('auto', () => ({ username: 'a', password: 'b', token: 'c' })).header('GET', '/')).toBe('Bearer c')
})

test('challenges are read one by one', () => {
  expect(challengesOf({ 'www-authenticate': 'Basic realm="a, b=c", charset="UTF-8", Digest nonce=abc, stale=TRUE' })).toEqual([
    { scheme: 'basic', values: { realm: 'a, b=c', charset: 'UTF-8' } },
    { scheme: 'digest', values: { nonce: 'abc', stale: 'TRUE' } },
  ])
})
