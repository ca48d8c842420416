// Package bench has the commands that measure Millrace. README.md publishes what they print.
package bench

// Command is the command line of millrace bench.
type Command struct {
	Export Export `cmd:"" help:"Request to completion, beside ClickHouse's own formats over HTTP; and small exports one after another."`
	Ingest Ingest `cmd:"" help:"Kafka to queryable rows, beside ClickHouse's own Kafka engine on the same topic."`
	Serve  Serve  `cmd:"" help:"Clients that poll a server, alone and beside large downloads."`
}
