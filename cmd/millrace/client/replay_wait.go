package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/runs"
)

// patience is how long ingest may store nothing of what was published before replay stops waiting.
const patience = time.Minute

// WaitStored waits until ingest has stored all records of the publisher, and prints when. Ingest
// commits the offset of a record when ClickHouse has its row, or the topic of dead letters the record
// (invariant 1). If no ingest runs, or Kafka does not let this client see it, WaitStored says so and
// does not wait.
func (p *Publisher) WaitStored(ctx context.Context, a *app.App) error {
	admin, group := kadm.NewClient(p.client), a.Config.KafkaTopicPrefix+"ingest"
	began, moved, left := time.Now(), time.Now(), int64(-1)
	err := app.Poll(ctx, func() (bool, error) {
		committed, err := admin.FetchOffsets(ctx, group)
		switch {
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			_, err := fmt.Fprintf(a.Stdout, "it is not known when they are stored: grant DESCRIBE on group %s\n",
				group)
			return true, err
		case err != nil && !errors.Is(err, kerr.GroupIDNotFound):
			if time.Since(moved) > patience {
				return false, fmt.Errorf("the events are published, but it is not known whether they are stored: offsets of "+
					"group %s: %w", group, err)
			}
			return false, nil
		}
		before := left
		left = p.uncommitted(committed)
		switch {
		case left == 0:
			_, err := fmt.Fprintf(a.Stdout, "stored after %.1f s: they can be queried\n", time.Since(began).Seconds())
			return true, err
		case left != before:
			moved = time.Now()
		case time.Since(moved) > patience:
			return false, fmt.Errorf("the events are published, but %d are not stored, and none was within %s: the log of "+
				"`millrace ingest` has the reason", left, patience)
		}
		found, err := admin.DescribeGroups(ctx, group)
		if g := found[group]; err != nil || g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) || len(g.Members) > 0 {
			return false, nil
		}
		_, err = fmt.Fprintln(a.Stdout, "not stored yet: no `millrace ingest` runs with this Kafka; it stores them when it starts")
		return true, err
	})
	if ctx.Err() != nil {
		return errors.New("stopped waiting until the events are stored; they are published")
	}
	return err
}

// uncommitted returns how far the committed offsets are from the ends of what was published.
func (p *Publisher) uncommitted(committed kadm.OffsetResponses) (left int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for partition, end := range p.ends {
		at := int64(0)
		if o, ok := committed.Lookup(p.topic, partition); ok && o.Err == nil {
			at = max(0, o.At)
		}
		left += max(0, end-at)
	}
	return left
}

// runApp is a copilot or a recipe.
type runApp struct{ workspace, source, id string }

// RunApps are the copilots and recipes of run events.
type RunApps map[runApp]bool

func (r RunApps) add(e runs.Event) {
	switch e := e.(type) {
	case *runs.Run:
		r.Add(e.WorkspaceID, e.Source, e.AppID)
	case *runs.Node:
		r.Add(e.WorkspaceID, e.Source, e.AppID)
	}
}

// Add adds an app. It keeps copies, because the texts are parts of their events.
func (r RunApps) Add(workspace, source, id string) {
	if of := (runApp{workspace, source, id}); !r[of] {
		r[runApp{strings.Clone(workspace), strings.Clone(source), strings.Clone(id)}] = true
	}
}

// maxApps is the number of apps that are printed.
const maxApps = 10

// Print prints the apps with the pages of their runs.
func (r RunApps) Print(a *app.App) {
	apps := slices.SortedFunc(maps.Keys(r), func(a, b runApp) int {
		return cmp.Or(cmp.Compare(a.workspace, b.workspace), cmp.Compare(a.source, b.source), cmp.Compare(a.id, b.id))
	})
	for i, x := range apps {
		if i == maxApps {
			fmt.Fprintf(a.Stdout, "and %s\n", plural(int64(len(apps)-i), "more app"))
			return
		}
		page := url.URL{Path: "/history", RawQuery: url.Values{"source": {x.source}, "app": {x.id}}.Encode()}
		if host, port, err := net.SplitHostPort(a.Config.HTTPAddr); err == nil && port != "0" {
			if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			page.Scheme, page.Host = "http", net.JoinHostPort(host, port)
		}
		fmt.Fprintf(a.Stdout, "workspace %s, %s %s: %s\n", x.workspace, x.source, x.id, &page)
	}
}
