// node openai.mjs TYPE prints the JSON Schema of a type of openai.ts, made from the types of OpenAI's client.
import { createGenerator } from 'ts-json-schema-generator'
import { fileURLToPath } from 'node:url'

const type = process.argv[2]
const path = fileURLToPath(new URL('openai.ts', import.meta.url))
process.stdout.write(JSON.stringify(createGenerator({ path, type, skipTypeCheck: true }).createSchema(type)))
