package main

type benchCommand struct {
	Export benchExport `cmd:"" help:"Request to completion, beside ClickHouse's own formats over HTTP; and small exports one after another."`
	Ingest benchIngest `cmd:"" help:"Kafka to queryable rows, beside ClickHouse's own Kafka engine on the same topic."`
	Serve  benchServe  `cmd:"" help:"Clients that poll a server, alone and beside large downloads."`
}
