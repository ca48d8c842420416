// node promptfoo.mjs FILE PROMPT loads tests with promptfoo's own loader, renders the prompt with the variables of each, and
// prints what a model would be sent, a JSON string a line, in the order of the file.
import promptfoo from 'promptfoo'

const [file, prompt] = process.argv.slice(2)
const evaluation = await promptfoo.evaluate(
  { prompts: [prompt], providers: ['echo'], tests: `file://${file}`, writeLatestResults: false },
  { cache: false, showProgressBar: false, maxConcurrency: 1 },
)
const { results } = await evaluation.toEvaluateSummary()
results.sort((a, b) => a.testIdx - b.testIdx)
for (const result of results) process.stdout.write(JSON.stringify(result.response?.output ?? null) + '\n')
process.exit(0)
