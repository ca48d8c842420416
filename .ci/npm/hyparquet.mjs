// node hyparquet.mjs FILE prints the rows of a Parquet file as hyparquet reads them, each a line of JSON.
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

const file = await asyncBufferFromFile(process.argv[2])
for (const row of await parquetReadObjects({ file, compressors })) {
  process.stdout.write(JSON.stringify(row, (_, v) => (typeof v === 'bigint' ? Number(v) : v ?? null)) + '\n')
}
