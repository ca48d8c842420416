package clickhouse

import (
	"testing"

	"github.com/ClickHouse/ch-go"
)

func TestBlocksAreCompressedBetweenMachinesOnly(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]ch.Compression{
		"clickhouse://127.0.0.1:9000/millrace":               ch.CompressionDisabled,
		"clickhouse://[::1]:9000/millrace":                   ch.CompressionDisabled,
		"clickhouse://localhost:9000/millrace":               ch.CompressionDisabled,
		"clickhouse://clickhouse:9000/millrace":              ch.CompressionLZ4,
		"clickhouse://10.0.0.1:9000/millrace":                ch.CompressionLZ4,
		"clickhouse://localhost:9000/millrace?compress=lz4":  ch.CompressionLZ4,
		"clickhouse://10.0.0.1:9000/millrace?compress=zstd":  ch.CompressionZSTD,
		"clickhouse://10.0.0.1:9000/millrace?compress=none":  ch.CompressionDisabled,
		"clickhouse://10.0.0.1:9000/millrace?compress=0":     ch.CompressionDisabled,
		"clickhouse://127.0.0.1:9000/millrace?compress=true": ch.CompressionLZ4,
		"clickhouse://a:9000,b:9000/millrace?compress=zstd":  ch.CompressionZSTD,
	} {
		d, err := ParseDSN(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.compression(d.options.Addr[0]); got != want {
			t.Errorf("%s: %v, want %v", dsn, got, want)
		}
	}
	const want = "compress must be none, lz4 or zstd"
	if _, err := ParseDSN("clickhouse://user:secret@a:9000/millrace?compress=snappy"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
