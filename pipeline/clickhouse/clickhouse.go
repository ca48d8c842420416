// Package clickhouse is what everything that talks to ClickHouse shares. It knows no tables and
// imports nothing of ours but schemas.
//
//	clickhouse.go  data source names and connections
//	idle.go        connections that are used again
//	query.go       queries with parameters and settings, and reading small answers
//	barrier.go     Barrier: reads that find all rows which were stored before, on a cluster too
//	errors.go      what a stage does about an error, and what an operator does
//	metrics.go     Metrics and Timer: how long queries take
//	migrate.go     migrations: rendering, applying and recording them
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DefaultDatabase is the database of a DSN that names no database.
const DefaultDatabase = "millrace"

// DSN is a parsed data source name: clickhouse://user:password@host:9000/database?secure=true. Parameter compress says
// how blocks are compressed on the way: none, lz4 or zstd. Without it they are by LZ4, but not at all within a machine.
// Other parameters are those of clickhouse-go. Only the native protocol is accepted: over HTTP, a
// batch that cannot be encoded is lost without an error.
type DSN struct {
	options  *chgo.Options
	Database string
	compress string // none, lz4 or zstd; "": by the address
	timer    *Timer
	barrier  Barrier // nil: of a single server
	idle     *idle   // of this DSN and its copies
}

// ParseDSN parses a data source name. The error does not contain it, since it may contain a
// password.
func ParseDSN(dsn string) (*DSN, error) {
	options, err := chgo.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("not a data source name such as clickhouse://user:password@host:9000/%s", DefaultDatabase)
	}
	if options.Protocol != chgo.Native {
		return nil, fmt.Errorf("only the native protocol is supported: use clickhouse://host:9000, not http")
	}
	compress, err := compressOf(dsn)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(options.Addr, func(address string) bool { return strings.Contains(address, "@") }) {
		return nil, errors.New("a host must have no user: the user stands before the first host, as in " +
			"clickhouse://user:password@host1:9000,host2:9000/" + DefaultDatabase)
	}
	if options.Auth.Database == "" || options.Auth.Database == "default" {
		options.Auth.Database = DefaultDatabase
	}
	options.ClientInfo.Products = append(options.ClientInfo.Products, struct{ Name, Version string }{"millrace", "1"})
	return &DSN{options: options, Database: options.Auth.Database, compress: compress, idle: &idle{}}, nil
}

// compressOf returns parameter compress of a DSN that clickhouse-go has parsed. It ignores what it does not know there.
func compressOf(dsn string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("not a URL")
	}
	switch compress := u.Query().Get("compress"); compress {
	case "", "none", "lz4", "zstd":
		return compress, nil
	case "true", "1":
		return "lz4", nil
	case "false", "0":
		return "none", nil
	}
	return "", errors.New("compress must be none, lz4 or zstd")
}

// Open returns a pool of connections of clickhouse-go, for any query. It does not connect yet.
func (d *DSN) Open() (driver.Conn, error) { return d.open(d.Database) }

// OpenPool is Open with at most so many connections, unless the DSN says another number.
func (d *DSN) OpenPool(connections int) (driver.Conn, error) {
	options := *d.options
	options.Auth.Database = d.Database
	if options.MaxOpenConns == 0 {
		options.MaxOpenConns = connections
	}
	return chgo.Open(&options)
}

func (d *DSN) open(database string) (driver.Conn, error) {
	options := *d.options
	options.Auth.Database = database
	return chgo.Open(&options)
}

// Dial opens one connection of ch-go, for large answers and inserts: ch-go works on columns. Most use
// [DSN.With]. The
// connection is not safe for concurrent use. After an error that is not the server's answer, it
// cannot be used again.
func (d *DSN) Dial(ctx context.Context) (client *ch.Client, err error) {
	err = d.Timer().Time(ctx, queryConnect, func() error {
		client, err = d.dial(ctx)
		return err
	})
	return client, err
}

func (d *DSN) dial(ctx context.Context) (*ch.Client, error) {
	var last error
	for _, address := range d.options.Addr {
		client, err := d.dialAt(ctx, address)
		if err == nil {
			return client, nil
		}
		last = err
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", last)
}

// dialAt connects to the server of an address.
func (d *DSN) dialAt(ctx context.Context, address string) (*ch.Client, error) {
	return ch.Dial(ctx, ch.Options{
		Address:     address,
		Database:    d.Database,
		User:        d.options.Auth.Username,
		Password:    d.options.Auth.Password,
		TLS:         d.options.TLS,
		ClientName:  "millrace",
		Compression: d.compression(address),
		DialTimeout: 5 * time.Second,
		ReadTimeout: 30 * time.Second, // between packets: a server that works on a query sends progress more often
	})
}

// compression returns how blocks are compressed on the way to and from an address. Within a machine, compressing saves
// nothing, and took 7 % of the processor time of a process that stored runs.
func (d *DSN) compression(address string) ch.Compression {
	switch d.compress {
	case "none":
		return ch.CompressionDisabled
	case "zstd":
		return ch.CompressionZSTD
	case "lz4":
		return ch.CompressionLZ4
	}
	host, _, err := net.SplitHostPort(address)
	if err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback()) {
		return ch.CompressionDisabled
	}
	return ch.CompressionLZ4
}

// cancelTimeout is how long a cancelled query may take to end before its connection is closed.
const cancelTimeout = time.Second

// Do runs a query, and closes the connection 1 second after ctx is done, if the query has not ended
// by then.
func Do(ctx context.Context, client *ch.Client, query ch.Query) error {
	defer Guard(ctx, client, cancelTimeout)()
	return client.Do(ctx, query)
}

// Guard closes a connection when ctx has been done for delay. ch-go checks ctx only between
// packets, and may wait for the next packet, or for the rest of one, without end. Call end when the
// query has returned.
func Guard(ctx context.Context, client *ch.Client, delay time.Duration) (end func()) {
	returned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-returned:
		case <-time.After(delay):
			client.Close()
		}
	})
	return func() {
		stop()
		close(returned)
	}
}

// Addr returns the first host:port of the DSN, for messages.
func (d *DSN) Addr() string {
	if len(d.options.Addr) == 0 {
		return net.JoinHostPort("127.0.0.1", "9000")
	}
	return d.options.Addr[0]
}
