import { fromBinary } from '@bufbuild/protobuf'
import type { DescEnum, DescField, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import type { DescriptorProto, EnumDescriptorProto, FileDescriptorProto } from '@bufbuild/protobuf/wkt'

/** Leading comments by full name: of messages, enums, services, and `Message.field`, `Service.Method`. */
export type Comments = (desc: DescMessage | DescEnum | DescField | DescService | DescMethod) => string

/** @param image a FileDescriptorSet with source information, as `buf build --as-file-descriptor-set` writes it */
export function readComments(image: Uint8Array): Comments {
  const comments = new Map<string, string>()
  for (const file of fromBinary(FileDescriptorSetSchema, image).file) collect(file, comments)
  return (desc) => comments.get(nameOf(desc)) ?? ''
}

function nameOf(desc: DescMessage | DescEnum | DescField | DescService | DescMethod): string {
  switch (desc.kind) {
    case 'field':
    case 'rpc':
      return `${desc.parent.typeName}.${desc.name}`
    case 'message':
    case 'enum':
    case 'service':
      return desc.typeName
  }
}

// Field numbers of descriptor.proto, of which a location's path is made.
const fileMessage = 4
const fileEnum = 5
const fileService = 6
const messageField = 2
const messageNested = 3
const messageEnum = 4
const serviceMethod = 2

function collect(file: FileDescriptorProto, comments: Map<string, string>): void {
  const names = new Map<string, string>()
  const at = (path: readonly number[], name: string) => names.set(path.join(','), name)

  const enums = (list: readonly EnumDescriptorProto[], path: readonly number[], prefix: string) =>
    list.forEach((entry, index) => at([...path, index], `${prefix}.${entry.name}`))
  const messages = (list: readonly DescriptorProto[], path: readonly number[], prefix: string) =>
    list.forEach((message, index) => {
      const here = [...path, index]
      const name = `${prefix}.${message.name}`
      at(here, name)
      message.field.forEach((field, number) => at([...here, messageField, number], `${name}.${field.name}`))
      messages(message.nestedType, [...here, messageNested], name)
      enums(message.enumType, [...here, messageEnum], name)
    })

  messages(file.messageType, [fileMessage], file.package)
  enums(file.enumType, [fileEnum], file.package)
  file.service.forEach((service, index) => {
    const name = `${file.package}.${service.name}`
    at([fileService, index], name)
    service.method.forEach((method, number) => at([fileService, index, serviceMethod, number], `${name}.${method.name}`))
  })
  for (const { path, leadingComments } of file.sourceCodeInfo?.location ?? []) {
    const name = names.get(path.join(','))
    if (name !== undefined && leadingComments !== '') comments.set(name, tidy(leadingComments))
  }
}

function tidy(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.trim())
    .join('\n')
    .trim()
}
