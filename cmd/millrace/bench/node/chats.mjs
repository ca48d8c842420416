// The fine-tuning file that a team writes for itself, with ClickHouse's official client for Node: stream the rows
// that a query selects, make a conversation of each, write lines. `millrace bench export` compares itself with it.
//
//   node chats.mjs URL DATABASE QUERY FILE
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'

const [url, database, query, file] = process.argv.slice(2)
const client = createClient({ url, database, request_timeout: 3_600_000, log: { level: ClickHouseLogLevel.ERROR } })
const out = createWriteStream(file, { highWaterMark: 1 << 20 })
const rows = await client.query({ query, format: 'JSONEachRow' })
let n = 0
for await (const block of rows.stream()) {
  let lines = ''
  for (const row of block) {
    const { messages, question, answer } = row.json()
    const chat = messages ? JSON.parse(messages) : [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ]
    lines += JSON.stringify({ messages: chat }) + '\n'
    n++
  }
  if (!out.write(lines)) await once(out, 'drain')
}
out.end()
await once(out, 'finish')
await client.close()
console.log(n)
