package clickhouse

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"
)

// An idle connection is kept for idleTime, and at most maxIdle are kept. To connect takes 4 ms, to ping 0.2.
const (
	idleTime = 30 * time.Second
	maxIdle  = 16
	pingTime = time.Second
)

// idle has the connections that [DSN.With] keeps, of the database that they are for.
type idle struct {
	mu      sync.Mutex
	clients map[string][]idleClient // the one that was used last is the last
}

type idleClient struct {
	*ch.Client
	since time.Time
}

// With calls do with a connection that nobody else uses until do returns. It is one that another call
// has used, where one still answers, and otherwise a new one. It is used again only if do returns nil.
func (d *DSN) With(ctx context.Context, do func(*ch.Client) error) error {
	client := d.idle.take(ctx, d.Database)
	if client == nil {
		var err error
		if client, err = d.Dial(ctx); err != nil {
			return err
		}
	}
	kept := false
	defer func() {
		if !kept { // also when do panics
			client.Close()
		}
	}()
	if err := do(client); err != nil {
		return err
	}
	kept = !client.IsClosed() && d.idle.keep(d.Database, client)
	return nil
}

// take returns a connection that answers, or nil. Where one does not, the others are no better: the server
// or the way to it has failed.
func (i *idle) take(ctx context.Context, database string) *ch.Client {
	client := i.pop(database)
	if client == nil {
		return nil
	}
	ping, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if err := client.Ping(ping); err != nil {
		client.Close()
		i.drop(database, 0)
		return nil
	}
	return client
}

func (i *idle) pop(database string) *ch.Client {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.clients[database]
	if len(list) == 0 {
		return nil
	}
	last := list[len(list)-1]
	i.clients[database] = list[:len(list)-1]
	return last.Client
}

// keep keeps a connection, or reports that there are enough.
func (i *idle) keep(database string, client *ch.Client) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.clients[database]) >= maxIdle {
		return false
	}
	if i.clients == nil {
		i.clients = map[string][]idleClient{}
	}
	i.clients[database] = append(i.clients[database], idleClient{client, time.Now()})
	time.AfterFunc(idleTime, i.expire)
	return true
}

// expire closes the connections that were not used for long.
func (i *idle) expire() {
	i.mu.Lock()
	databases := slices.Collect(maps.Keys(i.clients))
	i.mu.Unlock()
	for _, database := range databases {
		i.drop(database, idleTime)
	}
}

// drop closes the connections that were not used for so long.
func (i *idle) drop(database string, unused time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.clients[database]
	for len(list) > 0 && time.Since(list[0].since) >= unused {
		list[0].Close()
		list = list[1:]
	}
	i.clients[database] = list
}
