package main

type benchCommand struct {
	Ingest benchIngest `cmd:"" help:"Kafka to queryable rows, beside ClickHouse's own Kafka engine on the same topic."`
}
