package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	started      []<-chan struct{} // all are closed when the process has started
	dependencies []dependency
	closing      []func()
	log          *slog.Logger

	mu   sync.Mutex
	at   time.Time
	last error
}

type dependency struct {
	name    string
	check   func(context.Context) error
	failing bool
}

// watch makes readiness ask Kafka, ClickHouse and, if it is not nil, the bucket, for what the role needs
// of them: the topics, named without the prefix, and the tables. That they were there at the start does
// not say that they are.
func (r *readiness) watch(a *app.App, o *ops, b *bucket.Bucket, topics ...string) error {
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
	names := make([]string, len(topics))
	for i, topic := range topics {
		names[i] = a.Config.KafkaTopicPrefix + topic
	}
	kafkaConfig := kafka.Config{Name: "readiness"}
	r.dependencies = []dependency{
		{name: "Kafka", check: func(ctx context.Context) error { return kafkaConfig.CheckTopics(ctx, client, names...) }},
		{name: "ClickHouse", check: func(ctx context.Context) error {
			return conn.Exec(ctx, "SELECT 1 FROM runs WHERE false")
		}},
	}
	if b != nil {
		r.dependencies = append(r.dependencies, dependency{name: "the object store", check: b.Check})
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

// ask asks all dependencies, and logs which begin and cease to fail.
func (r *readiness) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	failures := make([]error, len(r.dependencies))
	var group errgroup.Group
	for i, d := range r.dependencies {
		group.Go(func() error {
			failures[i] = d.check(ctx)
			return nil
		})
	}
	group.Wait() //nolint:errcheck // the functions return none
	var names []string
	for i, err := range failures {
		d := &r.dependencies[i]
		switch {
		case err != nil && !d.failing:
			r.log.Warn("not ready: a dependency does not answer", "dependency", d.name, "error", err)
		case err == nil && d.failing:
			r.log.Info("a dependency answers again", "dependency", d.name)
		}
		if d.failing = err != nil; d.failing {
			names = append(names, d.name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("no answer from %s; see the log", strings.Join(names, ", "))
}
