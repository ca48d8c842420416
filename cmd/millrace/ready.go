package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/sinks/bucket"
)

const (
	readyTimeout = 2 * time.Second // of each dependency
	readyFor     = time.Second     // how long an answer is kept, so that many probes are one question
)

// readiness tells whether the process has started and its dependencies answer now.
type readiness struct {
	started []<-chan struct{} // all are closed when the process has started
	checks  []dependency
	closing []func()
	report  func(what string, err error) // logs why a dependency fails

	mu   sync.Mutex
	at   time.Time
	last error
}

type dependency struct {
	name  string // at the beginning of a sentence
	check func(context.Context) error
}

// watch makes readiness ask Kafka, ClickHouse and, if it is not nil, the bucket.
func (r *readiness) watch(a *app.App, o *ops, b *bucket.Bucket) error {
	client, err := a.KafkaClient(kafka.ClientHooks(o.registry, "ready"))
	if err != nil {
		return err
	}
	r.closing = append(r.closing, client.Close)
	conn, err := a.Config.DSN.Open()
	if err != nil {
		return err
	}
	r.closing = append(r.closing, func() { conn.Close() })
	r.checks = []dependency{{"Kafka", client.Ping}, {"ClickHouse", conn.Ping}}
	if b != nil {
		r.checks = append(r.checks, dependency{"the object store", b.Check})
	}
	return nil
}

func (r *readiness) close() {
	for _, f := range r.closing {
		f()
	}
}

// ready returns why the process is not ready, or nil. The error has no addresses: anybody may read
// it. The log has the details.
func (r *readiness) ready(ctx context.Context) error {
	for _, started := range r.started {
		select {
		case <-started:
		default:
			return errors.New("starting: waiting for Kafka or ClickHouse; see the log")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) > readyFor {
		r.last = r.ask(context.WithoutCancel(ctx)) // the answer is for others too
		r.at = time.Now()
	}
	return r.last
}

func (r *readiness) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	failed := make([]error, len(r.checks))
	var group errgroup.Group
	for i, d := range r.checks {
		group.Go(func() error {
			failed[i] = d.check(ctx)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // the functions return none
	var names []string
	for i, err := range failed {
		if err != nil {
			names = append(names, r.checks[i].name)
			r.report(r.checks[i].name, err)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("no answer from %s; see the log", strings.Join(names, ", "))
}
