/** Bodies as people would write them, by operation: what the service answers with 200 when the things they name are there. */
export const examples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  ConfigService_ImportConfig: { text: "version: 1\nsettings:\n  auditDays: '365'\n", dryRun: true },
  MountService_CreateMount: { name: 'docs', providerId: '0123456789abcdef', path: '/mnt/docs', options: { writeBackSeconds: 5 } },
  ProviderService_CreateProvider: { provider: { name: 'docs', type: 'local', options: { path: '/srv' } } },
  SessionService_Login: { name: 'anna', password: 'correct horse battery staple' },
  TokenService_CreateToken: { name: 'backup', grant: { role: 'ROLE_READ_ONLY' } },
  UserService_CreateUser: { name: 'bert', grant: { role: 'ROLE_OPERATOR', scope: 'GRANT_SCOPE_ALL' } },
  VaultService_AddSlot: { kind: 'VAULT_SLOT_KIND_PASSPHRASE', passphrase: 'correct horse battery staple' },
}
