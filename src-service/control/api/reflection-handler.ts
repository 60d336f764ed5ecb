import { toBinary } from '@bufbuild/protobuf'
import type { DescExtension, DescFile, DescMessage, DescService } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { Code } from '@connectrpc/connect'

/** What both versions of the reflection protocol ask and answer; they differ in their package alone. */
interface ReflectionRequest {
  readonly messageRequest:
    | { readonly case: 'fileByFilename' | 'fileContainingSymbol' | 'allExtensionNumbersOfType' | 'listServices'; readonly value: string }
    | { readonly case: 'fileContainingExtension'; readonly value: { readonly containingType: string; readonly extensionNumber: number } }
    | { readonly case: undefined; readonly value?: undefined }
}

type Answer =
  | { readonly case: 'fileDescriptorResponse'; readonly value: { readonly fileDescriptorProto: Uint8Array[] } }
  | { readonly case: 'allExtensionNumbersResponse'; readonly value: { readonly baseTypeName: string; readonly extensionNumber: number[] } }
  | { readonly case: 'listServicesResponse'; readonly value: { readonly service: { readonly name: string }[] } }
  | { readonly case: 'errorResponse'; readonly value: { readonly errorCode: number; readonly errorMessage: string } }

export type Reflection = (request: ReflectionRequest) => Answer

/** The gRPC reflection protocol over services and all that they are made of: answers one request. */
export function createReflection(services: readonly DescService[]): Reflection {
  const files = new Map<string, DescFile>()
  for (const { file } of services) collect(file, files)
  const symbols = new Map([...files.values()].flatMap((file) => symbolsOf(file).map((symbol) => [symbol, file] as const)))
  const extensions = [...files.values()].flatMap((file) => file.extensions)

  return ({ messageRequest }) => {
    switch (messageRequest.case) {
      case 'listServices':
        return { case: 'listServicesResponse', value: { service: services.map(({ typeName }) => ({ name: typeName })) } }
      case 'fileByFilename':
        return withDependencies(files.get(messageRequest.value), messageRequest.value)
      case 'fileContainingSymbol':
        return withDependencies(symbols.get(messageRequest.value), messageRequest.value)
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = messageRequest.value
        const found = extensionsOf(extensions, containingType).find(({ number }) => number === extensionNumber)
        return withDependencies(found?.file, `${containingType} ${extensionNumber}`)
      }
      case 'allExtensionNumbersOfType': {
        const found = extensionsOf(extensions, messageRequest.value)
        if (found.length === 0 && !symbols.has(messageRequest.value)) return absent(messageRequest.value)
        return {
          case: 'allExtensionNumbersResponse',
          value: { baseTypeName: messageRequest.value, extensionNumber: found.map(({ number }) => number) },
        }
      }
      case undefined:
        return { case: 'errorResponse', value: { errorCode: Code.InvalidArgument, errorMessage: 'the request asks nothing' } }
    }
  }
}

function extensionsOf(extensions: readonly DescExtension[], type: string): DescExtension[] {
  return extensions.filter(({ extendee }) => extendee.typeName === type)
}

/** A file and what it needs, each before those that need it. */
function withDependencies(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return absent(asked)
  const files = new Map<string, DescFile>()
  collect(file, files)
  // The one that was asked for comes first.
  const encoded = [...files.values()].reverse().map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto: encoded } }
}

function absent(asked: string): Answer {
  return { case: 'errorResponse', value: { errorCode: Code.NotFound, errorMessage: `there is no ${asked.slice(0, 256)}` } }
}

function collect(file: DescFile, into: Map<string, DescFile>): void {
  if (into.has(file.proto.name)) return
  for (const dependency of file.dependencies) collect(dependency, into)
  into.set(file.proto.name, file)
}

function symbolsOf(file: DescFile): string[] {
  return [
    ...file.services.flatMap((service) => [service.typeName, ...service.methods.map(({ name }) => `${service.typeName}.${name}`)]),
    ...file.enums.map(({ typeName }) => typeName),
    ...file.messages.flatMap(messageSymbols),
    ...file.extensions.map(({ typeName }) => typeName),
  ]
}

function messageSymbols(message: DescMessage): string[] {
  return [
    message.typeName,
    ...message.fields.map(({ name }) => `${message.typeName}.${name}`),
    ...message.nestedEnums.map(({ typeName }) => typeName),
    ...message.nestedMessages.flatMap(messageSymbols),
  ]
}
