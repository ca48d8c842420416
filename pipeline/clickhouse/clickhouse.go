// Package clickhouse knows how to talk to ClickHouse: connections, migrations, the selection SQL of
// exports, the reader of a window's rows, and what each of its errors means for a stage.
package clickhouse

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/ClickHouse/ch-go"
	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// DefaultDatabase is the database of a DSN that names none.
const DefaultDatabase = "millrace"

// DSN is a parsed data source name: clickhouse://user:password@host:9000/database?secure=true. Further
// parameters are those of clickhouse-go. Only the native protocol is accepted: over HTTP a batch that
// cannot be encoded is lost without an error.
type DSN struct {
	options  *chgo.Options
	Database string
}

// ParseDSN checks a data source name. The error does not contain the DSN, which may hold a password.
func ParseDSN(dsn string) (*DSN, error) {
	options, err := chgo.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("not a data source name such as clickhouse://user:password@host:9000/%s", DefaultDatabase)
	}
	if options.Protocol != chgo.Native {
		return nil, fmt.Errorf("only the native protocol is supported: use clickhouse://host:9000, not http")
	}
	if options.Auth.Database == "" || options.Auth.Database == "default" {
		options.Auth.Database = DefaultDatabase
	}
	options.ClientInfo.Products = append(options.ClientInfo.Products, struct{ Name, Version string }{"millrace", "1"})
	return &DSN{options: options, Database: options.Auth.Database}, nil
}

// Open returns a pool of connections for queries of any shape. It does not connect yet.
func (d *DSN) Open() (driver.Conn, error) { return d.open(d.Database) }

func (d *DSN) open(database string) (driver.Conn, error) {
	options := *d.options
	options.Auth.Database = database
	return chgo.Open(&options)
}

// Dial opens one connection for columns, the hot paths' protocol. It is not safe for concurrent use,
// and not reusable after an error.
func (d *DSN) Dial(ctx context.Context) (*ch.Client, error) {
	var last error
	for _, address := range d.options.Addr {
		client, err := ch.Dial(ctx, ch.Options{
			Address:     address,
			Database:    d.Database,
			User:        d.options.Auth.Username,
			Password:    d.options.Auth.Password,
			TLS:         d.options.TLS,
			ClientName:  "millrace",
			Compression: ch.CompressionLZ4,
			DialTimeout: 5 * time.Second,
			ReadTimeout: 30 * time.Second, // between packets; a server at work sends progress more often
		})
		if err == nil {
			return client, nil
		}
		last = err
	}
	return nil, fmt.Errorf("connect to ClickHouse: %w", last)
}

// hangUp is how long a cancelled query may take to end, until its connection is closed.
const hangUp = time.Second

// Do runs a query on a connection, and closes the connection soon after ctx is done.
func Do(ctx context.Context, client *ch.Client, query ch.Query) error {
	defer Guard(ctx, client, hangUp)()
	return client.Do(ctx, query)
}

// guard closes a connection when ctx has been done for a while: ch-go looks at ctx between packets only, and
// waits for the next one, or for the rest of one, for ever. The function it returns ends the guard.
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

// Addr is the first host:port of the DSN, for messages.
func (d *DSN) Addr() string {
	if len(d.options.Addr) == 0 {
		return net.JoinHostPort("127.0.0.1", "9000")
	}
	return d.options.Addr[0]
}
