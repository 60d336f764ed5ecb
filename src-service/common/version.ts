/** Version of this program; the same in service, worker and `cloudmoor --version`. Kept equal to package.json by a test. */
export const version = '0.1.0'
