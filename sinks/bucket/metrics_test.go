package bucket

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMeasuredStore(t *testing.T) {
	t.Parallel()
	accept(t, func(t *testing.T) *Bucket { return openTemp(t).Measured(NewMetrics(prometheus.NewRegistry())) })
}

func TestEveryOperationIsMeasuredByItsOutcome(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := openTemp(t).Measured(NewMetrics(registry))
	defer b.Close()
	if n := len(measurements(t, registry)); n != 6*5+3 {
		t.Errorf("%d series at start", n)
	}
	ctx, cancelled := t.Context(), withCancel(t)
	upload := func(ctx context.Context, key, body string) error {
		w, err := b.NewWriter(ctx, key)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write([]byte(body)); err != nil {
			return err
		}
		return w.Commit()
	}
	given, err := b.NewWriter(ctx, "given-up")
	if err != nil {
		t.Fatal(err)
	}
	given.Abort()
	given.Abort()
	read := func(ctx context.Context, key string) error { _, err := b.Read(ctx, key); return err }
	list := func(ctx context.Context) error { _, err := b.List(ctx, ""); return err }
	for i, c := range []struct {
		err   error
		fails bool
	}{
		{b.Create(ctx, "created", []byte("12345")), false},
		{b.Create(ctx, "created", []byte("other")), true},
		{b.Create(cancelled, "never", nil), true},
		{upload(ctx, "uploaded", "1234567"), false},
		{upload(ctx, "uploaded", "other"), true},
		{upload(cancelled, "never", "x"), true},
		{b.Sync(ctx, []string{"created", "uploaded"}), false},
		{b.Sync(ctx, []string{"none"}), true},
		{read(ctx, "created"), false},
		{read(ctx, "none"), true},
		{read(cancelled, "created"), true},
		{list(ctx), false},
		{list(cancelled), true},
		{b.Delete(ctx, "created"), false},
		{b.Delete(cancelled, "uploaded"), true},
	} {
		if (c.err != nil) != c.fails {
			t.Errorf("operation %d: %v", i, c.err)
		}
	}
	if err := b.Check(ctx); err != nil {
		t.Error(err)
	}
	got := measurements(t, registry)
	maps.DeleteFunc(got, func(_ string, v float64) bool { return v == 0 })
	want := map[string]float64{
		"create ok": 1, "create exists": 1, "create cancelled": 1, "create bytes": 5,
		"upload ok": 1, "upload exists": 1, "upload cancelled": 2, "upload bytes": 7,
		"sync ok": 1, "sync not_found": 1,
		"read ok": 1, "read not_found": 1, "read cancelled": 1, "read bytes": 5,
		"list ok": 1, "list cancelled": 1, "delete ok": 1, "delete cancelled": 1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("measured %v, want %v", got, want)
	}
}

func withCancel(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// measurements returns the counts of operations by operation and outcome, and bytes by operation.
func measurements(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{"outcome": "bytes"}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			value := m.GetCounter().GetValue()
			if h := m.GetHistogram(); h != nil {
				value = float64(h.GetSampleCount())
			}
			values[labels["operation"]+" "+labels["outcome"]] = value
		}
	}
	return values
}

func TestACheckFailsWhileTheFolderIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bucket")
	b := openURL(t, fileURL(path))
	defer b.Close()
	moved := path + "-moved"
	for i, change := range []func() error{
		func() error { return nil },
		func() error { return os.Rename(path, moved) },
		func() error { return os.Rename(moved, path) },
		func() error { return os.RemoveAll(path) },
		func() error { return os.MkdirAll(path, 0o755) }, // somebody else's
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(t.Context()); (err == nil) != slices.Contains([]int{0, 2}, i) {
			t.Errorf("after change %d: %v", i, err)
		} else if err != nil {
			t.Log(fmt.Sprint(err))
		}
	}
}
