// Package bench has the commands that measure Millrace. README.md publishes their results.
package bench

// Command is the command line of millrace bench.
type Command struct {
	Export Export `cmd:"" help:"Measure large exports, compared with ClickHouse's own formats over HTTP, and small exports one after another." example:"millrace bench export"`
	Growth Growth `cmd:"" help:"Measure exports of growing sizes, and what they take for a record; writes a table and a plot." example:"millrace bench growth"`
	Ingest Ingest `cmd:"" help:"Measure the way from Kafka to queryable rows, compared with ClickHouse's Kafka engine on the same topic." example:"millrace bench ingest"`
	Serve  Serve  `cmd:"" help:"Measure a server that clients poll, with and without large downloads at the same time." example:"millrace bench serve"`
	Sizing Sizing `cmd:"" help:"Measure the processor time and memory of each role and of ClickHouse, per event, run and request." example:"millrace bench sizing"`
}
